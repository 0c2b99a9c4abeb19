//! Texts with a form of their own, by the name they have in the schema.

use base_kit::{ByteSize, Percent, TimeSpan, UnitError};

use super::parse::{self, Fault};

/// Checks a text; a format that is not known here allows everything.
pub(super) fn check(format: &str, text: &str) -> Result<(), Fault> {
    match format {
        "time-span" => text.parse::<TimeSpan>().map(drop).map_err(unit_fault),
        "byte-size" => text.parse::<ByteSize>().map(drop).map_err(unit_fault),
        "percent" => text.parse::<Percent>().map(drop).map_err(unit_fault),
        "name" => parse::name(text),
        "bind-address" => parse::bind_address(text).map(drop),
        "endpoint-address" => parse::endpoint_address(text).map(drop),
        "server-name" => parse::server_name(text).map(drop),
        "network" => parse::network(text).map(drop),
        "host-pattern" => parse::host_pattern(text).map(drop),
        "path-pattern" => parse::path_pattern(text).map(drop),
        "fingerprint" => parse::fingerprint(text).map(drop),
        "value-pattern" => parse::value_pattern(text).map(drop),
        "regex" => parse::regular_expression(text, 0),
        "header-name" => parse::header_name(text),
        "token" => parse::token(text),
        "cookie-name" => parse::cookie_name(text),
        "cookie-path" => parse::cookie_path(text),
        "cookie-domain" => parse::cookie_domain(text),
        "header-value" => parse::header_value(text),
        "method" => parse::method(text),
        "authority" => parse::authority(text),
        "origin-path" => parse::origin_path(text),
        "status-range" => parse::status_range(text).map(drop),
        "log-target" => parse::log_target(text).map(drop),
        "line" => parse::line(text),
        "bytes" => parse::bytes(text).map(drop),
        "argument" => parse::argument(text),
        _ => Ok(()),
    }
}

/// What a text of this form is, in words.
pub(super) fn described(format: &str) -> &'static str {
    match format {
        "time-span" => "a time such as `2s`",
        "byte-size" => "a size such as `64KiB`",
        "percent" => "a share such as `50%`",
        "name" => "a name of letters, digits, `-`, `_` and `.`",
        "bind-address" => "an address and a port such as `0.0.0.0:80`",
        "endpoint-address" => "a host and a port such as `10.0.0.1:8080`",
        "server-name" => "the name of a server such as `app.internal`",
        "network" => "a network such as `10.0.0.0/8`",
        "host-pattern" => "a host such as `shop.example.com` or `*.example.com`",
        "path-pattern" => "a path such as `/a`, `/a/**`, `/u/{id}` or `~ ^/r.*`",
        "fingerprint" => "64 hexadecimal digits, as `openssl x509 -fingerprint -sha256` shows them",
        "value-pattern" => "a value, or `~ ` and a regular expression",
        "regex" => "a regular expression",
        "header-name" => "the name of a header field",
        "token" => "a word",
        "cookie-name" => "the name of a cookie",
        "cookie-path" => "a path such as `/`",
        "cookie-domain" => "a domain such as `example.com`",
        "header-value" => "the value of a header field",
        "method" => "a method such as `GET`",
        "authority" => "a host such as `app.internal`",
        "origin-path" => "a path such as `/healthz`",
        "status-range" => "statuses such as `200-299`",
        "line" => "one line of text",
        "bytes" => "a text, or `hex:` and digits such as `hex:0a1b`",
        "argument" => "an argument of a program",
        "log-target" => "`stdout`, `stderr` or the path of a file",
        _ => "a text",
    }
}

fn unit_fault(error: UnitError) -> Fault {
    Fault::new(error.message(), error.help())
}
