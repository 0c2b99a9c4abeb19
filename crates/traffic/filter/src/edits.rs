//! Changes to the fields of a message: what the header filters have in common.

use traffic_http::{FieldName, Fields, RequestHead, ResponseHead};

use crate::settings::{FieldValues, OneOrMany, Scalar};
use crate::template::{Sources, Template, with_buffer};
use crate::{Filter, Flow, RequestContext, SettingsError, field};

/// Changes to requests and to answers.
#[derive(Debug)]
pub(crate) struct FieldEdits {
    request: Box<[Edit]>,
    response: Box<[Edit]>,
}

/// One change. Names are in lower case.
#[derive(Debug)]
pub(crate) enum Edit {
    Set(FieldName, Template),
    Add(FieldName, Template),
    Remove(FieldName),
}

impl FieldEdits {
    /// Makes the edits of both parts from their settings; one part at least has something in it.
    pub(crate) fn build<Part>(
        request: &Part,
        response: &Part,
        make: impl Fn(&Part) -> Result<Vec<Edit>, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let request = make(request).map_err(|error| error.below("request"))?;
        let response = make(response).map_err(|error| error.below("response"))?;
        if request.is_empty() && response.is_empty() {
            return Err(
                SettingsError::at([], "there is nothing to do").suggest("give `request` or `response`")
            );
        }
        Ok(Self { request: request.into(), response: response.into() })
    }
}

/// Edits that replace a field by one value.
pub(crate) fn set(values: &FieldValues<Scalar>) -> Result<Vec<Edit>, SettingsError> {
    field::no_duplicates(values.keys())?;
    values.iter().map(|(name, value)| edit(name, value, Edit::Set)).collect()
}

/// Edits that add values to a field.
pub(crate) fn add(values: &FieldValues<OneOrMany>) -> Result<Vec<Edit>, SettingsError> {
    let pairs =
        values.iter().flat_map(|(name, values)| values.as_slice().iter().map(move |value| (name, value)));
    pairs.map(|(name, value)| edit(name, value, Edit::Add)).collect()
}

/// Edits that drop fields.
pub(crate) fn remove(names: &[String]) -> Result<Vec<Edit>, SettingsError> {
    names.iter().map(|name| field::name(name).map(Edit::Remove)).collect()
}

fn edit(name: &str, value: &Scalar, make: fn(FieldName, Template) -> Edit) -> Result<Edit, SettingsError> {
    let template = field::value(&value.to_string()).and_then(Template::compile);
    let template = template.map_err(|error| error.below(name))?;
    Ok(make(field::name(name)?, template))
}

impl Filter for FieldEdits {
    fn request_head(&self, context: &RequestContext<'_>, request: &mut RequestHead) -> Flow {
        apply(&self.request, context, request.fields_mut());
        Flow::Continue
    }

    fn response_head(&self, context: &RequestContext<'_>, response: &mut ResponseHead) {
        apply(&self.response, context, response.fields_mut());
    }

    fn decides_in_requests(&self) -> Vec<FieldName> {
        decided(&self.request)
    }

    fn decides_in_responses(&self) -> Vec<FieldName> {
        decided(&self.response)
    }
}

/// The fields that are set or dropped, whatever the message had.
fn decided(edits: &[Edit]) -> Vec<FieldName> {
    let name = |edit: &Edit| match edit {
        Edit::Set(name, _) | Edit::Remove(name) => Some(name.clone()),
        Edit::Add(..) => None,
    };
    edits.iter().filter_map(name).collect()
}

/// Makes the changes, in their order.
pub(crate) fn apply(edits: &[Edit], context: &RequestContext<'_>, fields: &mut Fields) {
    for edit in edits {
        match edit {
            Edit::Set(name, template) => {
                with_value(template, context, fields, |fields, value| fields.set_named(name, value));
            }
            Edit::Add(name, template) => {
                with_value(template, context, fields, |fields, value| fields.append_named(name, value));
            }
            Edit::Remove(name) => {
                fields.remove_named(name);
            }
        }
    }
}

fn with_value(
    template: &Template,
    context: &RequestContext<'_>,
    fields: &mut Fields,
    take: impl FnOnce(&mut Fields, &[u8]),
) {
    if let Some(text) = template.as_literal() {
        return take(fields, text.as_bytes());
    }
    with_buffer(|buffer| {
        template.write_value(Sources { context, fields, groups: None }, buffer);
        take(fields, buffer.trim_ascii());
    });
}
