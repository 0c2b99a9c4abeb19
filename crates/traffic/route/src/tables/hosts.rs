//! Host names: their one form, and the table from a name to what is served under it.

use std::io::Write;
use std::net::Ipv6Addr;

use super::index::HashIndex;
use super::paths::Host;
use crate::limits::MAX_HOST_BYTES;

/// Letters are put in lower case so many at a time, which the compiler turns into a few instructions.
const BLOCK_BYTES: usize = 16;

/// Room for a name, in whole blocks.
pub(crate) type HostBuffer = [u8; MAX_HOST_BYTES.next_multiple_of(BLOCK_BYTES)];

/// No name yet.
pub(crate) const EMPTY_BUFFER: HostBuffer = [0; MAX_HOST_BYTES.next_multiple_of(BLOCK_BYTES)];

/// The name in an authority: without port and final dot, in lower case; an IPv6 address without brackets, in its shortest
/// form. Empty if there is none or it is too long.
pub(crate) fn host_name<'b>(authority: &[u8], buffer: &'b mut HostBuffer) -> &'b [u8] {
    if authority.first() == Some(&b'[') {
        return ipv6_name(authority, buffer);
    }
    let name = without_port(authority);
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.len() > MAX_HOST_BYTES {
        return b"";
    }
    let Some(target) = buffer.get_mut(..name.len()) else { return b"" };
    target.copy_from_slice(name);
    let (blocks, _) = buffer.as_chunks_mut::<BLOCK_BYTES>();
    for block in blocks.iter_mut().take(name.len().div_ceil(BLOCK_BYTES)) {
        block.make_ascii_lowercase();
    }
    buffer.get(..name.len()).unwrap_or_default()
}

/// `authority` up to a final `:` and digits.
fn without_port(authority: &[u8]) -> &[u8] {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = authority.get(..authority.len() - digits).unwrap_or_default();
    name.strip_suffix(b":").unwrap_or(authority)
}

fn ipv6_name<'b>(authority: &[u8], buffer: &'b mut HostBuffer) -> &'b [u8] {
    let inner = authority.strip_prefix(b"[").unwrap_or(authority).split(|&byte| byte == b']').next();
    let address = inner.and_then(|text| std::str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok());
    let Some(address) = address else { return b"" };
    let size = buffer.len();
    let mut unused = buffer.as_mut_slice();
    let written = write!(unused, "{address}").map(|()| unused.len());
    let left = written.unwrap_or(size);
    buffer.get(..size - left).unwrap_or_default()
}

/// A configured name in the same form; `None` if it is too long or empty.
pub(crate) fn configured_name(name: &str) -> Option<Vec<u8>> {
    let mut buffer = EMPTY_BUFFER;
    let bracketed = name.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
    let name = host_name(bracketed.as_deref().unwrap_or(name).as_bytes(), &mut buffer);
    (!name.is_empty()).then(|| name.to_vec())
}

/// Which hosts there are and what is served under each.
#[derive(Debug)]
pub(crate) struct HostTable {
    entries: Vec<Entry>,
    /// What follows the beginnings of long names, one after the other.
    text: Vec<u8>,
    exact: Names,
    below: Names,
    /// Bit `n`: there is a `*.` suffix of `n` labels.
    suffix_labels: u128,
    /// For any host.
    any: Host,
}

/// Names that are looked up together: a run of entries.
#[derive(Debug)]
struct Names {
    start: u32,
    count: u32,
    /// Empty where comparing is cheaper.
    hashed: HashIndex,
}

/// Up to this many names are compared one by one. Most differ in length already.
const COMPARED_NAMES: usize = 4;

/// One cache line, with all that a simple look-up needs.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    /// How the name begins; zero behind its end.
    beginning: [u8; BEGINNING_BYTES],
    /// Where in [`HostTable::text`] the rest of it stands.
    rest_start: u32,
    length: u32,
    host: Host,
}

/// What fits in the cache line: most names need no more.
const BEGINNING_BYTES: usize = 24;

impl HostTable {
    pub(crate) fn new(exact: Vec<(Vec<u8>, Host)>, below: Vec<(Vec<u8>, Host)>, any: Host) -> Self {
        let suffix_labels = below.iter().fold(0, |bits, (name, _)| bits | label_bit(count_labels(name)));
        let mut entries = Vec::with_capacity(exact.len() + below.len());
        let mut text = Vec::new();
        let exact = Names::new(exact, &mut entries, &mut text);
        let below = Names::new(below, &mut entries, &mut text);
        text.shrink_to_fit();
        Self { entries, text, exact, below, suffix_labels, any }
    }

    /// Offers what is served under a name, the most specific first, until `found` gives something.
    pub(crate) fn search<T>(&self, name: &[u8], mut found: impl FnMut(&Host) -> Option<T>) -> Option<T> {
        if !name.is_empty() {
            if let Some(result) = self.look_up(&self.exact, name).and_then(&mut found) {
                return Some(result);
            }
            if self.suffix_labels != 0
                && let Some(result) = self.search_below(name, &mut found)
            {
                return Some(result);
            }
        }
        found(&self.any)
    }

    /// The suffixes of the name, the longest first.
    fn search_below<T>(&self, name: &[u8], found: &mut impl FnMut(&Host) -> Option<T>) -> Option<T> {
        let mut labels = count_labels(name);
        let mut suffix = name;
        while let Some(dot) = suffix.iter().position(|&byte| byte == b'.') {
            let label_is_empty = dot == 0;
            suffix = suffix.get(dot + 1..)?;
            labels -= 1;
            if self.suffix_labels & label_bit(labels) == 0
                || (label_is_empty && suffix.len() + 1 == name.len())
            {
                continue;
            }
            if let Some(result) = self.look_up(&self.below, suffix).and_then(&mut *found) {
                return Some(result);
            }
        }
        None
    }

    fn look_up(&self, names: &Names, name: &[u8]) -> Option<&Host> {
        if names.hashed.is_empty() {
            let run = self.entries.get(names.start as usize..(names.start + names.count) as usize)?;
            return run.iter().find(|entry| self.is_called(entry, name)).map(|entry| &entry.host);
        }
        let place = names.hashed.find(names.hashed.hash(0, name), |place| {
            self.entries.get(place as usize).is_some_and(|entry| self.is_called(entry, name))
        })?;
        Some(&self.entries.get(place as usize)?.host)
    }

    fn is_called(&self, entry: &Entry, name: &[u8]) -> bool {
        let (front, rest) = name.split_at(name.len().min(BEGINNING_BYTES));
        let start = entry.rest_start as usize;
        entry.length as usize == name.len()
            && entry.beginning.starts_with(front)
            && (rest.is_empty() || self.text.get(start..start + rest.len()) == Some(rest))
    }
}

impl Names {
    fn new(names: Vec<(Vec<u8>, Host)>, entries: &mut Vec<Entry>, text: &mut Vec<u8>) -> Self {
        let count = names.len();
        let indexed = if count > COMPARED_NAMES { count } else { 0 };
        let mut hashed = HashIndex::for_entries(indexed);
        let start = entries.len() as u32;
        for (name, host) in names {
            hashed.insert(hashed.hash(0, &name), entries.len() as u32);
            entries.push(Entry::new(&name, host, text));
        }
        Self { start, count: count as u32, hashed }
    }
}

impl Entry {
    /// `text` takes what does not fit.
    fn new(name: &[u8], host: Host, text: &mut Vec<u8>) -> Self {
        let (front, rest) = name.split_at(name.len().min(BEGINNING_BYTES));
        let mut beginning = [0; BEGINNING_BYTES];
        beginning.iter_mut().zip(front).for_each(|(slot, byte)| *slot = *byte);
        let rest_start = text.len() as u32;
        text.extend_from_slice(rest);
        Self { beginning, rest_start, length: name.len() as u32, host }
    }
}

fn count_labels(name: &[u8]) -> usize {
    1 + name.iter().filter(|&&byte| byte == b'.').count()
}

/// More labels than bits share the last one: then a look-up is tried in vain at worst.
fn label_bit(labels: usize) -> u128 {
    1 << labels.min(127)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_case_port_and_final_dot() {
        for (authority, name) in [
            ("Example.COM", "example.com"),
            ("example.com:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("example.com:", "example.com"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "::1"),
            ("[0:0:0:0:0:0:0:1]:443", "::1"),
            ("[2001:DB8::A]:1", "2001:db8::a"),
            ("[nonsense]", ""),
            ("[", ""),
            ("", ""),
            (":80", ""),
            (".", ""),
            ("80", "80"),
        ] {
            let mut buffer = EMPTY_BUFFER;
            assert_eq!(host_name(authority.as_bytes(), &mut buffer), name.as_bytes(), "{authority}");
        }
        let mut buffer = EMPTY_BUFFER;
        assert_eq!(host_name(&[b'a'; MAX_HOST_BYTES + 1], &mut buffer), b"");
        assert_eq!(host_name(&[b'a'; MAX_HOST_BYTES], &mut buffer).len(), MAX_HOST_BYTES);
    }

    #[test]
    fn configured_names_take_the_same_form() {
        assert_eq!(configured_name("::0:1").as_deref(), Some(b"::1".as_slice()));
        assert_eq!(configured_name("[::1]").as_deref(), Some(b"::1".as_slice()));
        assert_eq!(configured_name("A.example."), Some(b"a.example".to_vec()));
        assert_eq!(configured_name(""), None);
    }

    #[test]
    fn an_entry_is_one_cache_line() {
        assert_eq!(size_of::<Entry>(), 64);
    }
}
