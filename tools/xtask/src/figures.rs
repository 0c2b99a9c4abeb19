//! The pictures and tables of the shipped scenarios: every one of them is run as it is, in some minutes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command;

const SCENARIOS: &str = "examples/simulations";
const PAGE: &str = "docs/reference/figures/balancing.md";
const HEAD: &str = "\
# Balancers on the shipped scenarios

<!-- Made by `cargo xtask figures`; do not edit. -->

What `aya simulate` finds on each scenario in `examples/simulations`, and the p99 latency over time. How to read it:
[simulating](../../guide/simulating.md). What follows from it: [balancing in figures](../balancing.md).
";

/// Runs all scenarios and writes the page and its pictures.
pub(crate) fn run() -> Result<()> {
    let root = command::root()?;
    command::succeed(&mut command::cargo(&["build", "--quiet", "--release", "-p", "app-cli"])?)?;
    let aya = command::target_folder()?.join("release").join("aya");
    let aya = aya.to_str().context("the target folder's path is not UTF-8")?;
    let page = root.join(PAGE);
    // Pictures lie beside the page.
    let pictures = page.parent().context("a page without a folder")?;
    fs::create_dir_all(pictures).with_context(|| format!("cannot make {}", pictures.display()))?;
    let mut text = HEAD.to_owned();
    for scenario in scenarios(&root)? {
        let name =
            scenario.file_stem().and_then(|name| name.to_str()).context("a scenario without a name")?;
        let written = fs::read_to_string(&scenario).with_context(|| format!("cannot read {name}"))?;
        let (file, picture) = (format!("{SCENARIOS}/{name}.yaml"), pictures.join(format!("{name}.svg")));
        let picture = picture.to_str().context("the checkout's path is not UTF-8")?;
        let arguments = ["simulate", &file, "--svg", picture];
        let table = command::output(&mut command::command(aya, &arguments)?)?;
        text.push_str(&section(name, &written, &table));
        println!("ran {file}");
    }
    fs::write(&page, text).with_context(|| format!("cannot write {PAGE}"))
}

fn scenarios(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join(SCENARIOS);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {SCENARIOS}"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    if paths.is_empty() {
        bail!("there are no scenarios in {SCENARIOS}");
    }
    Ok(paths)
}

/// What the scenario says of itself, the picture, the table.
fn section(name: &str, written: &str, table: &str) -> String {
    let comment = written.lines().map_while(|line| line.strip_prefix('#'));
    let about: Vec<&str> = comment.map(str::trim_end).take_while(|line| !line.contains("Run it:")).collect();
    let about =
        about.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let title = name.replace('-', " ");
    let picture = format!("![p99 latency over time: {title}]({name}.svg)");
    let (about, table) = (fenced(about.trim_end()), table.trim_end());
    format!(
        "\n## {title}\n\n{about}\n\n{picture}\n\n`aya simulate {SCENARIOS}/{name}.yaml`\n\n```text\n{table}\n```\n"
    )
}

/// Tables among the text, which are set in, stand as they are.
fn fenced(about: &str) -> String {
    let paragraphs = about.split("\n\n").map(|paragraph| {
        if paragraph.starts_with("  ") { format!("```text\n{paragraph}\n```") } else { paragraph.to_owned() }
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_says_what_the_scenario_says() {
        let written = "# One.\n#\n#   a   b\n#   1   2\n#\n# Two\n# three.\n#\n# Run it:  x\n\nname: n\n";
        let section = section("slow-servers", written, "table\n\n");
        let expected = "\n## slow servers\n\nOne.\n\n```text\n  a   b\n  1   2\n```\n\nTwo\nthree.\n\n\
            ![p99 latency over time: slow servers](slow-servers.svg)\n\n\
            `aya simulate examples/simulations/slow-servers.yaml`\n\n```text\ntable\n```\n";
        assert_eq!(section, expected);
    }

    /// Running them all takes too long for a check; that none is missing can be seen at once.
    #[test]
    fn every_scenario_is_in_the_page() {
        let root = command::root().unwrap();
        let page = fs::read_to_string(root.join(PAGE)).unwrap();
        for scenario in scenarios(&root).unwrap() {
            let name = scenario.file_stem().unwrap().to_str().unwrap();
            let is_there = page.contains(&format!("]({name}.svg)"));
            assert!(is_there, "{name} is not in {PAGE}: run `cargo xtask figures`");
        }
    }
}
