//! The key of sticky cookies where the configuration names none.

use std::io;

use base_model::Model;
use base_model::model::{Secret, Sticky};
use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes of the key: as many as SHA-256 makes use of.
const KEY_BYTES: usize = 32;

/// A secret of this process, the same over all reloads: nobody else has it, and it ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct CookieKey(Secret);

impl CookieKey {
    /// Drawn by the system.
    pub(crate) fn draw() -> io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        // So few bytes come at once or not at all, and no signal gets in between (getrandom(2)).
        let drawn = getrandom(&mut key, GetRandomFlags::empty())?;
        if drawn < KEY_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(Secret::new(&digits)))
    }

    /// Puts it where a key is missing.
    pub(crate) fn put_into(&self, model: &mut Model) {
        for pool in &mut model.pools {
            if let Some(Sticky::Cookie(cookie)) = &mut pool.sticky
                && cookie.keys.is_empty()
            {
                cookie.keys.push(self.0.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base_model::load;

    use super::*;
    use crate::catalog;

    #[test]
    fn it_is_put_where_none_is_and_only_there() {
        let text = "listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: [{split: {a: 1, b: 1, c: 1}}]\npools:\n  \
                    a: {endpoints: [10.0.0.1], sticky: {cookie: node}}\n  \
                    b: {endpoints: [10.0.0.1], sticky: {cookie: node, keys: {env: KEY}}}\n  \
                    c: {endpoints: [10.0.0.1], sticky: source}\n";
        let environment = |_: &str| Some("a-key-of-the-operator".to_owned());
        let mut model = load(text, "aya.yaml", &environment, &catalog()).unwrap().model;
        let key = CookieKey::draw().unwrap();
        key.put_into(&mut model);
        let keys = |index: usize| match &model.pools[index].sticky {
            Some(Sticky::Cookie(cookie)) => cookie.keys.clone(),
            _ => Vec::new(),
        };
        assert_eq!((keys(0), keys(2)), (vec![key.0.clone()], vec![]));
        assert_eq!(keys(1), [Secret::new("a-key-of-the-operator")]);
        assert_eq!(key.0.expose().len(), 2 * KEY_BYTES);
        assert_ne!(key.0, CookieKey::draw().unwrap().0);
    }
}
