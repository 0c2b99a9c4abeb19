//! Which fields end at Aya.
//!
//! A gateway consumes the fields that are about one connection (RFC 9110 §7.6.1) and does not pass them on. `Connection`
//! can name further ones. That is honoured only for fields that Aya has no knowledge of: nominating `Host`,
//! `Content-Length`, `Authorization`, `Cookie`, `Forwarded`, `X-Forwarded-For` or another end-to-end field would let a
//! client make the endpoint see a request without what the gateway, or a proxy before it, vouches for.

use crate::fields::{Fields, KnownField};
use crate::head::{has_token, tokens};
use crate::limits::MAX_NOMINATED_FIELDS;

/// Fields about one connection, whether nominated or not. Those of proxy authentication are addressed to the next
/// proxy, which is Aya: credentials for it must not leak to endpoints, and an endpoint must not ask for some.
const HOP_BY_HOP: u64 = KnownField::Connection.bit()
    | KnownField::KeepAlive.bit()
    | KnownField::ProxyConnection.bit()
    | KnownField::Te.bit()
    | KnownField::TransferEncoding.bit()
    | KnownField::Upgrade.bit()
    | KnownField::Http2Settings.bit()
    | KnownField::ProxyAuthenticate.bit()
    | KnownField::ProxyAuthenticationInfo.bit()
    | KnownField::ProxyAuthorization.bit();

/// Drops the fields that are about the connection they came by. `TE: trailers` stays, because endpoints need it to
/// send trailers and Aya passes trailers on; other codings in `TE` go.
///
/// `Transfer-Encoding` goes too: whoever sends the body on sets it again when the framing is chunked.
pub fn strip_hop_by_hop(fields: &mut Fields) {
    strip(fields, HOP_BY_HOP);
}

/// Like [`strip_hop_by_hop`], for a request or a 101 response that switches protocols: `Upgrade` stays, and
/// `Connection: upgrade` is set.
pub fn strip_keeping_upgrade(fields: &mut Fields) {
    strip(fields, HOP_BY_HOP & !KnownField::Upgrade.bit());
    if fields.has(KnownField::Upgrade) {
        fields.append_known(KnownField::Connection, b"upgrade");
    }
}

fn strip(fields: &mut Fields, set: u64) {
    if !fields.may_have(set) {
        return;
    }
    drop_nominated(fields);
    let wants_trailers = fields.has(KnownField::Te) && has_token(fields, KnownField::Te, b"trailers");
    fields.remove_set(set);
    if wants_trailers {
        fields.append_known(KnownField::Te, b"trailers");
    }
}

/// Drops the unknown fields that `Connection` names.
fn drop_nominated(fields: &mut Fields) {
    let connection = fields.get(KnownField::Connection);
    // The common cases: `keep-alive` and `close`.
    if connection.is_none_or(is_well_known) && !fields.has_several(KnownField::Connection) {
        return;
    }
    let mut nominated = [None; MAX_NOMINATED_FIELDS];
    let unknown = fields
        .values(KnownField::Connection)
        .flat_map(tokens)
        .filter(|name| !is_well_known(name))
        .map(|name| fields.span_of(name));
    for (place, name) in nominated.iter_mut().zip(unknown) {
        *place = Some(name);
    }
    for name in nominated.into_iter().flatten() {
        fields.remove_unknown_named_at(name);
    }
}

/// Connection options that name no field, and fields that nobody may nominate.
fn is_well_known(name: &[u8]) -> bool {
    const FORWARDED_PREFIX: &[u8] = b"x-forwarded-";
    name.eq_ignore_ascii_case(b"close")
        || KnownField::from_name(name).is_some()
        || name
            .get(..FORWARDED_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(FORWARDED_PREFIX))
}

/// Drops the framing fields that a response with this status must not have (RFC 9110 §8.6, RFC 9112 §6.1): 1xx and
/// 204 have neither length nor coding.
pub fn strip_forbidden_framing(fields: &mut Fields, status: u16) {
    if status < 200 || status == 204 {
        fields.remove_set(KnownField::ContentLength.bit() | KnownField::TransferEncoding.bit());
    }
}

/// Makes the fields of a 1xx response fit to be passed on: those about the connection go, and so does what would frame a
/// body, because there is none. A 101 keeps `Upgrade`, which names the protocol that follows.
pub fn strip_interim(fields: &mut Fields, status: u16) {
    if status == 101 {
        strip_keeping_upgrade(fields);
    } else {
        strip_hop_by_hop(fields);
    }
    strip_forbidden_framing(fields, status);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(name, value.as_bytes());
        }
        fields
    }

    fn lines(fields: &Fields) -> Vec<String> {
        fields.check_invariants();
        let text = String::from_utf8_lossy;
        fields.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
    }

    #[test]
    fn fields_about_the_connection_go() {
        let mut fields = fields(&[
            ("Host", "a"),
            ("Connection", "keep-alive, close"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "gzip"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "websocket"),
            ("HTTP2-Settings", "x"),
            ("Proxy-Authorization", "Basic x"),
            ("Proxy-Authenticate", "Basic"),
            ("Proxy-Authentication-Info", "x"),
            ("Trailer", "x-checksum"),
            ("X-Tier", "gold"),
        ]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(lines(&fields), ["Host: a", "Trailer: x-checksum", "X-Tier: gold"]);
    }

    #[test]
    fn nominated_fields_go_unless_they_are_known_as_end_to_end() {
        let mut fields = fields(&[
            ("Host", "a"),
            ("Content-Length", "5"),
            ("Cookie", "c"),
            ("Authorization", "d"),
            ("X-Forwarded-For", "10.0.0.1"),
            ("X-Forwarded-User", "e"),
            ("Via", "1.1 f"),
            ("X-Private", "g"),
            ("x-private", "h"),
            ("X-Second", "i"),
            ("X-Tier", "gold"),
            ("Connection", "close, X-Private ,host, content-length, cookie,authorization"),
            ("Connection", ",x-forwarded-for, x-forwarded-user, via,\tX-SECOND, x-absent"),
        ]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(
            lines(&fields),
            [
                "Host: a",
                "Content-Length: 5",
                "Cookie: c",
                "Authorization: d",
                "X-Forwarded-For: 10.0.0.1",
                "X-Forwarded-User: e",
                "Via: 1.1 f",
                "X-Tier: gold"
            ]
        );
    }

    #[test]
    fn the_number_of_nominated_fields_is_bounded() {
        let names: Vec<_> = (0..100).map(|index| format!("x-{index}")).collect();
        let mut fields = fields(&[("Connection", &names.join(","))]);
        names.iter().for_each(|name| fields.append(name, b"1"));
        strip_hop_by_hop(&mut fields);
        assert_eq!(fields.len(), 100 - MAX_NOMINATED_FIELDS);
        fields.check_invariants();
    }

    #[test]
    fn trailers_can_still_be_asked_for() {
        let mut fields = fields(&[("TE", "gzip, Trailers"), ("Connection", "TE"), ("X", "y")]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(lines(&fields), ["X: y", "te: trailers"]);
    }

    #[test]
    fn an_upgrade_survives_when_wanted() {
        let asked = [("Connection", "keep-alive, Upgrade, X-Hop"), ("Upgrade", "websocket"), ("X-Hop", "1")];
        let mut kept = fields(&asked);
        strip_keeping_upgrade(&mut kept);
        assert_eq!(lines(&kept), ["Upgrade: websocket", "connection: upgrade"]);
        let mut none = fields(&[("Connection", "upgrade")]);
        strip_keeping_upgrade(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn what_is_taken_for_a_field_about_the_connection_goes() {
        let mut fields = fields(&[("Proxy_Authorization", "a"), ("keep_alive", "b"), ("X_Tier", "gold")]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(lines(&fields), ["X_Tier: gold"]);
    }

    #[test]
    fn interim_answers_are_fit_to_be_passed_on() {
        let passed = |status, upgrade: &[(&str, &str)]| {
            let sent = [
                ("Connection", "close, Upgrade, X-Hop"),
                ("X-Hop", "1"),
                ("Keep-Alive", "timeout=5"),
                ("Content-Length", "5"),
                ("Transfer-Encoding", "chunked"),
                ("Link", "</a.css>; rel=preload"),
            ];
            let mut fields = fields(&[&sent, upgrade].concat());
            strip_interim(&mut fields, status);
            lines(&fields)
        };
        let link = "Link: </a.css>; rel=preload";
        let upgrade = [("Upgrade", "websocket")];
        assert_eq!(passed(103, &upgrade), [link]);
        assert_eq!(passed(100, &[]), [link]);
        assert_eq!(passed(101, &upgrade), [link, "Upgrade: websocket", "connection: upgrade"]);
        assert_eq!(passed(101, &[]), [link]);
    }

    #[test]
    fn responses_without_body_have_no_framing_fields() {
        let lines_with = |status| {
            let mut fields = fields(&[("Content-Length", "5"), ("ETag", "e")]);
            strip_forbidden_framing(&mut fields, status);
            lines(&fields)
        };
        assert_eq!(lines_with(204), ["ETag: e"]);
        assert_eq!(lines_with(103), ["ETag: e"]);
        assert_eq!(lines_with(304), ["Content-Length: 5", "ETag: e"]);
        assert_eq!(lines_with(200), ["Content-Length: 5", "ETag: e"]);
    }
}
