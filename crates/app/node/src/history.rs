//! Earlier configurations: in memory, and on disk where a folder is configured.
//!
//! Each is two files, `00000012.yaml` (as it was offered) and `00000012.json` (what is known of it), written beside and renamed, so that a
//! crash leaves no half of one.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base_model::model::History as Settings;
use control_api::HistoryEntry;

/// How many are kept where nothing is configured.
const KEPT_IN_MEMORY: usize = 20;

/// Configurations may hold secrets: nobody else looks into the folder …
const FOLDER_MODE: u32 = 0o700;
/// … or into a file, if the folder was made by somebody else.
const FILE_MODE: u32 = 0o600;

/// Earlier configurations.
#[derive(Debug, Default)]
pub(crate) struct History {
    folder: Option<PathBuf>,
    keep: usize,
    entries: BTreeMap<u64, (HistoryEntry, Source)>,
}

#[derive(Debug)]
enum Source {
    Memory(String),
    File(PathBuf),
}

impl History {
    /// Opens the folder, if there is one, and reads what is in it. What cannot be read is left out and said.
    pub(crate) fn open(settings: Option<&Settings>) -> io::Result<Self> {
        let Some(settings) = settings else { return Ok(Self { keep: KEPT_IN_MEMORY, ..Self::default() }) };
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&settings.folder)?;
        let mut entries = BTreeMap::new();
        for file in fs::read_dir(&settings.folder)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read_entry(&path) {
                Ok(entry) => {
                    let source = Source::File(path.with_extension("yaml"));
                    entries.insert(entry.generation, (entry, source));
                }
                Err(error) => {
                    tracing::warn!(target: "aya::history", path = %path.display(), %error, "not readable");
                }
            }
        }
        let keep = usize::try_from(settings.keep).unwrap_or(usize::MAX);
        Ok(Self { folder: Some(settings.folder.clone()), keep, entries })
    }

    /// The number of the latest; 0 if there is none.
    pub(crate) fn latest(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(generation, _)| *generation)
    }

    /// Keeps one more, and as many of the earlier ones as are wanted.
    pub(crate) fn add(&mut self, entry: HistoryEntry, source: &str) -> io::Result<()> {
        let generation = entry.generation;
        let kept = match &self.folder {
            None => Source::Memory(source.to_owned()),
            Some(folder) => {
                let file = folder.join(format!("{generation:08}.yaml"));
                write_whole(&file, source.as_bytes())?;
                write_whole(&file.with_extension("json"), &serde_json::to_vec_pretty(&entry)?)?;
                Source::File(file)
            }
        };
        self.entries.insert(generation, (entry, kept));
        while self.entries.len() > self.keep.max(1) {
            if let Some((_, (_, Source::File(path)))) = self.entries.pop_first() {
                let _ = fs::remove_file(path.with_extension("json"));
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// What can be taken up again, the latest first.
    pub(crate) fn entries(&self) -> Vec<HistoryEntry> {
        self.entries.values().rev().map(|(entry, _)| entry.clone()).collect()
    }

    /// The text of one.
    pub(crate) fn source(&self, generation: u64) -> Option<io::Result<String>> {
        self.entries.get(&generation).map(|(_, source)| match source {
            Source::Memory(text) => Ok(text.clone()),
            Source::File(path) => fs::read_to_string(path),
        })
    }
}

fn read_entry(path: &Path) -> io::Result<HistoryEntry> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Writes beside and renames. The file beside is always a new one: neither a link that somebody put there nor what a
/// crash left is written through.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&beside)?;
    file.write_all(bytes)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use control_api::Origin;

    use super::*;

    fn entry(generation: u64) -> HistoryEntry {
        HistoryEntry { generation, fingerprint: "f".into(), applied_ms: 1, origin: Origin::Api }
    }

    #[test]
    fn what_is_kept_on_disk_is_there_after_a_restart() {
        let folder = std::env::temp_dir().join(format!("aya-history-{}", std::process::id()));
        let settings = Settings { folder: folder.clone(), keep: 2 };
        let mut history = History::open(Some(&settings)).unwrap();
        for generation in 1..=3 {
            history.add(entry(generation), &format!("text {generation}")).unwrap();
        }
        let again = History::open(Some(&settings)).unwrap();
        assert_eq!(again.latest(), 3);
        assert_eq!(again.entries().iter().map(|entry| entry.generation).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(again.source(2).unwrap().unwrap(), "text 2");
        assert!(again.source(1).is_none(), "the oldest is gone");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nobody_else_reads_it_and_links_are_not_followed() {
        use std::os::unix::fs::PermissionsExt as _;
        let outer = std::env::temp_dir().join(format!("aya-history-modes-{}", std::process::id()));
        let folder = outer.join("inner");
        let settings = Settings { folder: folder.clone(), keep: 2 };
        let mut history = History::open(Some(&settings)).unwrap();
        let elsewhere = outer.join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("00000001.new")).unwrap();
        history.add(entry(1), "text").unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&folder), FOLDER_MODE);
        for file in ["00000001.yaml", "00000001.json"] {
            assert_eq!(mode(&folder.join(file)), FILE_MODE, "{file}");
        }
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
        fs::remove_dir_all(outer).unwrap();
    }

    #[test]
    fn without_a_folder_it_is_kept_in_memory() {
        let mut history = History::open(None).unwrap();
        history.add(entry(7), "seven").unwrap();
        assert_eq!(history.source(7).unwrap().unwrap(), "seven");
    }
}
