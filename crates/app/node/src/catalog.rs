//! The kinds there are, as the configuration is told of them.

use base_kit::KindInfo;
use base_model::{KindCatalog, KindEntry, SettingsProblem};
use base_signal::AccessField;
use serde_json::Value;

/// All kinds of this build.
pub fn catalog() -> KindCatalog {
    let balancers = traffic_balance::kinds::ALL.iter().map(|&kind| {
        entry(kind.info(), kind.schema().to_value(), move |settings| match kind.build(settings) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string().into()),
        })
    });
    let filters = traffic_filter::kinds::FILTERS.iter().map(|&kind| {
        entry(kind.info(), kind.schema().to_value(), move |settings| match kind.build(settings) {
            Ok(_) => Ok(()),
            Err(error) => Err(problem(&error)),
        })
    });
    let handlers = traffic_filter::kinds::HANDLERS.iter().map(|&kind| {
        entry(kind.info(), kind.schema().to_value(), move |settings| match kind.build(settings) {
            Ok(_) => Ok(()),
            Err(error) => Err(problem(&error)),
        })
    });
    KindCatalog {
        balancers: balancers.collect(),
        filters: filters.collect(),
        handlers: handlers.collect(),
        access_fields: AccessField::ALL.iter().map(|field| field.name()).collect(),
    }
}

fn entry(
    info: KindInfo,
    schema: Value,
    check: impl Fn(&Value) -> Result<(), SettingsProblem> + Send + Sync + 'static,
) -> KindEntry {
    KindEntry::new(info, schema).with_check(check)
}

fn problem(error: &traffic_filter::SettingsError) -> SettingsProblem {
    SettingsProblem { at: error.path.clone(), message: error.problem.clone(), help: error.suggestion.clone() }
}
