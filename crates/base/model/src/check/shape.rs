//! The tree against the schema: unknown keys, wrong types, values out of range, texts of the wrong form.
//!
//! Every value that fits comes out as JSON. One that does not is reported and left out; what needs it is left out
//! too, silently, so that one mistake is one message.

use serde_json::{Map, Number, Value as Json};

use super::parse::Fault;
use super::{formats, synonyms, union};
use crate::diagnostic::{Diagnostic, Problems, Severity, Span, did_you_mean, listed, near};
use crate::document::resolve;
use crate::text::{Entry, Node, Place, Scalar, ScalarKind, Value};

/// Checks values of one document.
pub(super) struct Shape<'a> {
    /// The root schema, for references.
    pub(super) root: &'a Json,
    pub(super) problems: &'a mut Problems,
}

impl<'a> Shape<'a> {
    /// The value as JSON, or `None` if something was wrong with it. `name_span` is where its name stands.
    pub(super) fn check(
        &mut self,
        node: &Node,
        schema: &'a Json,
        place: &Place<'_>,
        name_span: Span,
    ) -> Option<Json> {
        let schema = resolve(self.root, schema);
        if node.is_null() && !place.is_root() {
            self.no_value(node, place, name_span);
            return None;
        }
        if let Some(branches) = union::branches(self.root, schema) {
            return self.union(node, schema, &branches, place, name_span);
        }
        if schema.get("const").is_some() || schema.get("enum").is_some() {
            return self.words(node, schema, place);
        }
        match (schema.get("type").and_then(Json::as_str), &node.value) {
            (Some("object"), Value::Map(entries)) => self.object(entries, schema, place, name_span),
            (Some("array"), Value::List(items)) => self.array(node, items, schema, place),
            (Some("string"), Value::Scalar(scalar)) => self.string(node, scalar, schema, place),
            (Some("integer" | "number"), Value::Scalar(scalar)) => self.number(node, scalar, schema, place),
            (Some("boolean"), Value::Scalar(scalar)) if is_bool(scalar) => {
                Some(plain_scalar(scalar, scalar.kind_without_quotes()))
            }
            (None, _) => Some(plain(node)),
            _ => {
                self.wrong_type(node, &[schema], place, name_span);
                None
            }
        }
    }

    fn push(&mut self, diagnostic: Diagnostic, place: &Place<'_>) {
        self.problems.push(diagnostic.path(place));
    }

    fn no_value(&mut self, node: &Node, place: &Place<'_>, name_span: Span) {
        let written = node.scalar().is_some_and(|scalar| !scalar.text.is_empty());
        let span = if written { node.span } else { name_span };
        self.push(
            Diagnostic::error("no-value", format!("`{place}` has no value"))
                .at(span)
                .help("give it one, or remove it"),
            place,
        );
    }

    /// What is there is of another type than all that is allowed.
    fn wrong_type(&mut self, node: &Node, allowed: &[&Json], place: &Place<'_>, name_span: Span) {
        let mut expected: Vec<String> = allowed.iter().map(|schema| union::described(schema)).collect();
        expected.dedup();
        let subject = if place.is_root() { "the document".to_owned() } else { format!("`{place}`") };
        let diagnostic = Diagnostic::error(
            "wrong-type",
            format!("{subject} is {}, but should be {}", node.described(), expected.join(" or ")),
        );
        let span = if matches!(node.value, Value::Scalar(_)) { node.span } else { name_span };
        let help = type_help(node, allowed);
        let help = help.unwrap_or_else(|| format!("write {}", expected.join(" or ")));
        self.push(diagnostic.at(span).help(help), place);
    }

    /// One of several forms: the one that the value looks like decides about the messages.
    fn union(
        &mut self,
        node: &Node,
        schema: &'a Json,
        branches: &[&'a Json],
        place: &Place<'_>,
        name_span: Span,
    ) -> Option<Json> {
        let noun = schema.get("title").and_then(Json::as_str).unwrap_or("value");
        if let Some((scalar, help)) = union::meant_as_switch(node, branches) {
            let message = format!("`{place}` cannot be {}", scalar.shown());
            self.push(Diagnostic::error("unknown-word", message).at(node.span).help(help), place);
            return None;
        }
        match union::choose(self.root, node, branches) {
            union::Choice::Branch(branch) => self.check(node, branch, place, name_span),
            union::Choice::Words(words) => {
                let others = union::other_forms(branches);
                self.unknown_word(node, schema, (&words, &others), place);
                None
            }
            union::Choice::Kind { entry, kinds } => {
                self.unknown_kind(entry, noun, &kinds, place, name_span);
                None
            }
            union::Choice::None if noun == "secret" => {
                self.secret_in_the_open(node, place, name_span);
                None
            }
            union::Choice::None => {
                self.wrong_type(node, branches, place, name_span);
                None
            }
        }
    }

    /// Somebody wrote the secret itself: it is not repeated, not even in the excerpt.
    fn secret_in_the_open(&mut self, node: &Node, place: &Place<'_>, name_span: Span) {
        let span = if node.scalar().is_some() { node.span } else { name_span };
        self.push(
            Diagnostic::error("open-secret", format!("`{place}` holds the secret itself"))
                .at(span)
                .help("name where it is: `{env: NAME}` or `{file: path}`")
                .concealed(),
            place,
        );
    }

    fn unknown_kind(
        &mut self,
        entry: Option<&Entry>,
        noun: &str,
        kinds: &[&str],
        place: &Place<'_>,
        name_span: Span,
    ) {
        let Some(scalar) = entry.and_then(|entry| entry.node.scalar()) else {
            let diagnostic = Diagnostic::error("missing-key", format!("`{place}` has no `kind`"));
            let help = format!("add one: the {} are {}", plural(noun), listed(kinds));
            self.push(diagnostic.at(name_span).help(help), place);
            return;
        };
        let span = entry.map_or(name_span, |entry| entry.node.span);
        self.push(
            Diagnostic::error("unknown-word", format!("there is no {noun} {}", scalar.shown()))
                .at(span)
                .help(
                    synonyms::of_word(&scalar.text, kinds)
                        .unwrap_or_else(|| did_you_mean(&scalar.text, &plural(noun), kinds)),
                ),
            place,
        );
    }

    /// `const` and `enum`.
    fn words(&mut self, node: &Node, schema: &'a Json, place: &Place<'_>) -> Option<Json> {
        let single = schema.get("const").map(std::slice::from_ref);
        let words =
            single.or_else(|| schema.get("enum").and_then(Json::as_array).map(Vec::as_slice)).unwrap_or(&[]);
        if let Some(scalar) = node.scalar() {
            let fits = |word: &&Json| match word {
                Json::String(word) => *word == scalar.text,
                word => **word == plain(node),
            };
            if let Some(word) = words.iter().find(fits) {
                return Some(word.clone());
            }
        }
        let texts: Vec<String> =
            words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.unknown_word(node, schema, (&texts, &[]), place);
        None
    }

    /// A word that is not one of those allowed. `others` are forms besides words.
    fn unknown_word(
        &mut self,
        node: &Node,
        schema: &Json,
        (words, others): (&[&str], &[&str]),
        place: &Place<'_>,
    ) {
        let (shown, text) = match node.scalar() {
            Some(scalar) => (scalar.shown(), scalar.text.as_str()),
            None => (node.described(), ""),
        };
        let noun = schema.get("title").and_then(Json::as_str);
        let message = match noun {
            Some(noun) => format!("there is no {noun} {shown}"),
            None => format!("`{place}` cannot be {shown}"),
        };
        let help = synonyms::of_word(text, words).unwrap_or_else(|| {
            let guess = did_you_mean(text, &plural(noun.unwrap_or("value")), words);
            let alone = noun.is_some() || others.is_empty() || guess.starts_with("did");
            if alone { guess } else { format!("{guess}, or {}", others.join(" or ")) }
        });
        self.push(Diagnostic::error("unknown-word", message).at(node.span).help(help), place);
    }

    fn object(
        &mut self,
        entries: &[Entry],
        schema: &'a Json,
        place: &Place<'_>,
        name_span: Span,
    ) -> Option<Json> {
        let properties = schema.get("properties").and_then(Json::as_object);
        let mut out = Map::new();
        for entry in entries {
            let known = properties.and_then(|properties| properties.get(&entry.key));
            let inner = place.key(&entry.key);
            let others = schema.get("additionalProperties").filter(|schema| schema.is_object());
            let Some(schema_of_value) = known.or(others) else {
                if schema.get("additionalProperties") == Some(&Json::Bool(false)) {
                    self.unknown_key(entry, schema, place);
                } else {
                    out.insert(entry.key.clone(), plain(&entry.node));
                }
                continue;
            };
            if known.is_none() {
                self.property_name(entry, schema, &inner);
            }
            if let Some(value) = self.check(&entry.node, schema_of_value, &inner, entry.key_span) {
                out.insert(entry.key.clone(), value);
            }
        }
        self.missing_keys(entries, schema, place, name_span);
        let counted = self.number_of_keys(entries, schema, place, name_span);
        // The document itself always comes out, so that its other parts can be looked at.
        (place.is_root() || (counted && complete(schema, &out))).then_some(Json::Object(out))
    }

    fn property_name(&mut self, entry: &Entry, schema: &Json, inner: &Place<'_>) {
        let format = schema.get("propertyNames").and_then(|names| names.get("format")).and_then(Json::as_str);
        if let Some(Err(fault)) = format.map(|format| formats::check(format, &entry.key)) {
            let diagnostic = Diagnostic::error("bad-name", fault.message).at(entry.key_span).help(fault.help);
            self.push(diagnostic, inner);
        }
    }

    fn unknown_key(&mut self, entry: &Entry, schema: &Json, place: &Place<'_>) {
        if self.problems.omit(Severity::Error) {
            return;
        }
        let known: Vec<&str> = schema
            .get("properties")
            .and_then(Json::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let (message, nouns) = match schema.get("title").and_then(Json::as_str) {
            Some(noun) if !place.is_root() => (format!("there is no {noun} `{}`", entry.key), plural(noun)),
            _ if place.is_root() => (format!("unknown key `{}`", entry.key), "keys".to_owned()),
            _ => (format!("unknown key `{}` in `{place}`", entry.key), "keys".to_owned()),
        };
        let help = if entry.key == "<<" {
            "merge keys are not used here: put the anchor on a whole value, or write the settings out"
                .to_owned()
        } else if let ([only], false) = (known.as_slice(), known.iter().any(|only| near(&entry.key, only))) {
            format!("remove it: the only key here is `{only}`")
        } else {
            synonyms::of_key(&entry.key, &known).unwrap_or_else(|| did_you_mean(&entry.key, &nouns, &known))
        };
        self.push(
            Diagnostic::error("unknown-key", message).at(entry.key_span).help(help),
            &place.key(&entry.key),
        );
    }

    fn missing_keys(&mut self, entries: &[Entry], schema: &Json, place: &Place<'_>, name_span: Span) {
        let required = schema.get("required").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let properties = schema.get("properties").and_then(Json::as_object);
        let known: Vec<&str> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        for key in required.iter().filter_map(Json::as_str) {
            // A misspelt key has been told about.
            let misspelt = |entry: &Entry| {
                !known.contains(&entry.key.as_str())
                    && (near(&entry.key, key) || synonyms::is_key(&entry.key, key, &known))
            };
            if entries.iter().any(|entry| entry.key == key || entry.key == "<<" || misspelt(entry)) {
                continue;
            }
            let subject = if place.is_root() { "the document".to_owned() } else { format!("`{place}`") };
            let purpose = properties.and_then(|properties| properties.get(key));
            let purpose = purpose.and_then(|schema| schema.get("description")).and_then(Json::as_str);
            let help = match purpose {
                Some(purpose) => format!("add `{key}`: {}", one_line(purpose)),
                None => format!("add `{key}`"),
            };
            self.push(
                Diagnostic::error("missing-key", format!("{subject} has no `{key}`"))
                    .at(name_span)
                    .help(help),
                place,
            );
        }
    }

    fn number_of_keys(
        &mut self,
        entries: &[Entry],
        schema: &Json,
        place: &Place<'_>,
        name_span: Span,
    ) -> bool {
        let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_u64);
        let count = entries.len() as u64;
        let noun = schema.get("title").and_then(Json::as_str).unwrap_or("entry");
        if bound("minProperties").is_some_and(|least| count < least) {
            let diagnostic = Diagnostic::error("empty", format!("`{place}` is empty")).at(name_span);
            self.push(diagnostic.help(format!("give it at least one {noun}")), place);
            return false;
        }
        if bound("maxProperties").is_some_and(|most| count > most) {
            let span = entries.get(1).map_or(name_span, |entry| entry.key_span);
            let diagnostic =
                Diagnostic::error("too-many", format!("`{place}` names more than one {noun}")).at(span);
            self.push(
                diagnostic.help(format!("write each {noun} as an item of its own, with a `-` in front")),
                place,
            );
            return false;
        }
        true
    }

    fn array(&mut self, node: &Node, items: &[Node], schema: &'a Json, place: &Place<'_>) -> Option<Json> {
        if schema.get("minItems").and_then(Json::as_u64).is_some_and(|least| (items.len() as u64) < least) {
            let diagnostic =
                Diagnostic::error("empty", format!("`{place}` is an empty list")).at(node.span.part(0, 2));
            self.push(diagnostic.help("give it an item, or remove the key"), place);
            return None;
        }
        let item_schema = match schema.get("items") {
            None => return Some(plain(node)),
            // Somebody else looks at the items.
            Some(Json::Bool(false)) => return Some(Json::Array(Vec::new())),
            Some(schema) => schema,
        };
        let mut out = Vec::with_capacity(items.len());
        let mut whole = true;
        for (index, item) in items.iter().enumerate() {
            let inner = place.index(index);
            let span = item_span(item);
            match self.check(item, item_schema, &inner, span) {
                Some(value) => out.push(value),
                None => whole = false,
            }
        }
        whole.then_some(Json::Array(out))
    }

    fn string(&mut self, node: &Node, scalar: &Scalar, schema: &Json, place: &Place<'_>) -> Option<Json> {
        let format = schema.get("format").and_then(Json::as_str);
        if let Some(format) = format
            && let Err(fault) = formats::check(format, &scalar.text)
        {
            self.push(fault_diagnostic(format, fault, node, scalar), place);
            return None;
        }
        let length = scalar.text.chars().count() as u64;
        if schema.get("minLength").and_then(Json::as_u64).is_some_and(|least| length < least) {
            let diagnostic = Diagnostic::error("empty", format!("`{place}` is empty")).at(node.span);
            self.push(diagnostic.help("give it a value, or remove the key"), place);
            return None;
        }
        Some(Json::String(scalar.text.clone()))
    }

    fn number(&mut self, node: &Node, scalar: &Scalar, schema: &Json, place: &Place<'_>) -> Option<Json> {
        let whole = schema.get("type").and_then(Json::as_str) == Some("integer");
        let kind = scalar.kind_without_quotes();
        let value = match kind {
            ScalarKind::Integer(value) => value as f64,
            ScalarKind::Float(value) if !whole => value,
            _ => {
                self.wrong_type(node, &[schema], place, node.span);
                return None;
            }
        };
        let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_f64);
        let (least, most) = (bound("minimum"), bound("maximum"));
        if least.is_some_and(|least| value < least) || most.is_some_and(|most| value > most) {
            let help = match (least, most) {
                (Some(least), Some(most)) => format!("write a number from {least} to {most}"),
                (Some(least), None) => format!("write at least {least}"),
                _ => format!("write at most {}", most.unwrap_or_default()),
            };
            let message = format!("{} is out of range for `{place}`", scalar.shown());
            self.push(Diagnostic::error("out-of-range", message).at(node.span).help(help), place);
            return None;
        }
        Some(plain_scalar(scalar, kind))
    }
}

/// Where an item stands: short ones themselves, others by their first word.
pub(super) fn item_span(item: &Node) -> Span {
    match &item.value {
        Value::Scalar(_) => item.span,
        Value::Map(entries) => entries.first().map_or(item.span.part(0, 1), |entry| entry.key_span),
        Value::List(_) => item.span.part(0, 1),
    }
}

/// Points at the part of the text that is at fault, when the text stands on the page as it is.
fn fault_diagnostic(format: &str, fault: Fault, node: &Node, scalar: &Scalar) -> Diagnostic {
    let one_line = node.span.start.line == node.span.end.line;
    let escaped = scalar.quoted && scalar.text.contains(['\\', '"', '\'']);
    let span = match fault.range {
        Some(range) if one_line && !escaped => {
            let quote = usize::from(scalar.quoted);
            node.span.part(range.start + quote, range.end + quote)
        }
        _ => node.span,
    };
    // A value from the environment may be secret: neither it nor a part of it is repeated.
    if let Some(written) = &scalar.written {
        let message = format!("the value of `{written}` cannot be used here");
        return Diagnostic::error("bad-value", message)
            .at(node.span)
            .help(format!("it should be {}", formats::described(format)));
    }
    Diagnostic::error("bad-value", fault.message).at(span).help(fault.help)
}

/// What to do about a type that is nearly right.
fn type_help(node: &Node, allowed: &[&Json]) -> Option<String> {
    let wants =
        |name: &str| allowed.iter().any(|schema| schema.get("type").and_then(Json::as_str) == Some(name));
    let scalar = node.scalar();
    if let Some(scalar) = scalar {
        let number = matches!(ScalarKind::of(&scalar.text), ScalarKind::Integer(_));
        if wants("integer") && scalar.quoted && number {
            return Some("write it without quotes".to_owned());
        }
        if wants("boolean") {
            return Some("write `true` or `false`".to_owned());
        }
    }
    if wants("array") && !matches!(node.value, Value::List(_)) {
        return Some("write a list: `[a, b]`, or one item a line with `- ` in front".to_owned());
    }
    if wants("object") && !matches!(node.value, Value::Map(_)) {
        let keys = allowed.iter().filter_map(|schema| schema.get("properties")?.as_object());
        let keys: Vec<&str> = keys.flat_map(|properties| properties.keys().map(String::as_str)).collect();
        return Some(if keys.is_empty() {
            "write names and values: `{name: value}`".to_owned()
        } else {
            format!("write a map with the keys {}", listed(&keys))
        });
    }
    None
}

fn complete(schema: &Json, out: &Map<String, Json>) -> bool {
    let required = schema.get("required").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    required.iter().filter_map(Json::as_str).all(|key| out.contains_key(key))
}

/// The value as JSON, by what it looks like.
pub(super) fn plain(node: &Node) -> Json {
    match &node.value {
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), plain(&entry.node))).collect(),
        Value::Scalar(scalar) => plain_scalar(scalar, scalar.kind),
    }
}

fn plain_scalar(scalar: &Scalar, kind: ScalarKind) -> Json {
    match kind {
        ScalarKind::Null => Json::Null,
        ScalarKind::Bool(value) => Json::Bool(value),
        ScalarKind::Integer(value) => Number::from_i128(value).map_or(Json::Null, Json::Number),
        ScalarKind::Float(value) => Number::from_f64(value).map_or(Json::Null, Json::Number),
        ScalarKind::Text => Json::String(scalar.text.clone()),
    }
}

fn is_bool(scalar: &Scalar) -> bool {
    matches!(scalar.kind_without_quotes(), ScalarKind::Bool(_))
}

/// More than one of them.
fn plural(noun: &str) -> String {
    match noun.split_once(" of ") {
        Some((first, rest)) => format!("{first}s of {rest}"),
        None => format!("{noun}s"),
    }
}

/// Doc comments are wrapped; messages are not.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
