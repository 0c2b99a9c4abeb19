use super::*;
use crate::HeadLimits;

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

fn head(lines: &str) -> RequestHead {
    let text = format!("GET / HTTP/1.1\r\nHost: shop.example:8080\r\n{lines}\r\n");
    let mut head = RequestHead::new();
    assert!(matches!(head.parse(text.as_bytes(), &HeadLimits::default()), Ok(Some(_))));
    head
}

/// The lines after Host.
fn applied(
    lines: &str,
    mode: ForwardedMode,
    style: ForwardedStyle,
    peer: IpAddr,
    is_trusted: bool,
) -> Vec<String> {
    let mut head = head(lines);
    apply(&mut head, Forwarded { mode, style }, &Hop { peer, is_trusted, scheme: "https" });
    head.fields().check_invariants();
    let text = String::from_utf8_lossy;
    head.fields().iter().skip(1).map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

const CLAIMED: &str = "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-For: 192.0.2.3\r\nX-Forwarded-Proto: http\r\n\
                       X-Forwarded-Host: outer.example\r\nX-Forwarded-Prefix: /p\r\nX-Forwarded-Port: 1\r\n\
                       X-Real-IP: 192.0.2.4\r\nForwarded: for=192.0.2.5\r\nX-Tier: gold\r\n";

#[test]
fn what_an_untrusted_peer_claims_is_replaced() {
    for (mode, is_trusted) in
        [(ForwardedMode::Append, false), (ForwardedMode::Replace, false), (ForwardedMode::Replace, true)]
    {
        assert_eq!(
            applied(CLAIMED, mode, ForwardedStyle::XForwarded, V4, is_trusted),
            [
                "X-Tier: gold",
                "x-forwarded-for: 203.0.113.9",
                "x-forwarded-proto: https",
                "x-forwarded-host: shop.example:8080"
            ]
        );
        assert_eq!(
            applied(CLAIMED, mode, ForwardedStyle::Forwarded, V4, is_trusted),
            ["X-Tier: gold", "forwarded: for=203.0.113.9;host=\"shop.example:8080\";proto=https"]
        );
    }
}

#[test]
fn the_chain_of_a_trusted_peer_is_continued() {
    assert_eq!(
        applied(CLAIMED, ForwardedMode::Append, ForwardedStyle::Both, V4, true),
        [
            "x-forwarded-for: 192.0.2.1, 192.0.2.2, 192.0.2.3, 203.0.113.9",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: outer.example",
            "X-Forwarded-Prefix: /p",
            "X-Forwarded-Port: 1",
            "X-Real-IP: 192.0.2.4",
            "forwarded: for=192.0.2.5, for=203.0.113.9;host=\"shop.example:8080\";proto=https",
            "X-Tier: gold",
        ]
    );
    assert_eq!(
        applied("", ForwardedMode::Append, ForwardedStyle::XForwarded, V4, true),
        ["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: https", "x-forwarded-host: shop.example:8080"]
    );
}

#[test]
fn nothing_is_told_in_mode_drop() {
    for is_trusted in [false, true] {
        let lines = applied(CLAIMED, ForwardedMode::Drop, ForwardedStyle::Both, V4, is_trusted);
        assert_eq!(lines, ["X-Tier: gold"]);
    }
}

#[test]
fn what_is_taken_for_a_claim_goes_whoever_sent_it() {
    let alike = "X_Forwarded_For: 192.0.2.1\r\nX_Real_IP: 192.0.2.2\r\nx_forwarded-PROTO: ftp\r\nX-Forwarded_Host: a\r\n\
                 X_Forwarded_User: b\r\nX_Forwarded_Port: 1\r\nX_Tier: gold\r\nX-Forwarded: c\r\n";
    let kept = ["X_Tier: gold", "X-Forwarded: c"];
    let told =
        ["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: https", "x-forwarded-host: shop.example:8080"];
    for is_trusted in [false, true] {
        for mode in [ForwardedMode::Append, ForwardedMode::Replace] {
            let lines = applied(alike, mode, ForwardedStyle::XForwarded, V4, is_trusted);
            assert_eq!(lines, [kept.as_slice(), told.as_slice()].concat());
        }
        assert_eq!(applied(alike, ForwardedMode::Drop, ForwardedStyle::Both, V4, is_trusted), kept);
    }
    let mixed = format!("{alike}{CLAIMED}");
    let lines = applied(&mixed, ForwardedMode::Append, ForwardedStyle::XForwarded, V4, true);
    assert!(lines.contains(&"X-Forwarded-Prefix: /p".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("_F") || line.contains("_R")), "{lines:?}");
}

#[test]
fn addresses_are_written_and_quoted_as_their_place_wants() {
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(
        applied("", ForwardedMode::Append, ForwardedStyle::Both, v6, false),
        [
            "x-forwarded-for: 2001:db8::1",
            "x-forwarded-proto: https",
            "x-forwarded-host: shop.example:8080",
            "forwarded: for=\"[2001:db8::1]\";host=\"shop.example:8080\";proto=https"
        ]
    );
    let mut plain = RequestHead::new();
    let text = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(plain.parse(text, &HeadLimits::default()), Ok(Some(text.len())));
    let settings = Forwarded { mode: ForwardedMode::Append, style: ForwardedStyle::Both };
    apply(&mut plain, settings, &Hop { peer: V4, is_trusted: false, scheme: "http" });
    assert_eq!(plain.fields().find("forwarded"), Some(b"for=203.0.113.9;proto=http".as_slice()));
    assert!(!plain.fields().has(KnownField::XForwardedHost));
}

#[test]
fn address_texts_agree_with_the_standard_library() {
    for text in
        ["0.0.0.0", "1.20.255.100", "10.9.99.200", "255.255.255.255", "::", "2001:db8:0:1:2:3:4:5", "fe80::1"]
    {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(AddressText::new(address).as_str(), text);
        assert_eq!(AddressText::new(address).is_v6(), address.is_ipv6());
    }
    assert_eq!(AddressText::new("::ffff:10.0.0.1".parse().unwrap()).as_str(), "10.0.0.1");
}

#[test]
fn elements_are_parsed_as_proxies_write_them() {
    for (element, expected) in [
        ("192.0.2.1", Some("192.0.2.1")),
        ("192.0.2.1:4711", Some("192.0.2.1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("[2001:db8::1]:4711", Some("2001:db8::1")),
        ("[2001:db8::1]", Some("2001:db8::1")),
        ("::ffff:192.0.2.1", Some("192.0.2.1")),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2", None),
        ("[192.0.2.1", None),
        ("\u{e9}", None),
    ] {
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(address::parse(element.as_bytes()), expected, "{element}");
        for forwarded in [format!("for={element}"), format!("proto=http; For=\"{element}\";by=x")] {
            assert_eq!(address::parse_forwarded(forwarded.as_bytes()), expected, "{forwarded}");
        }
    }
    assert_eq!(address::parse_forwarded(b"by=192.0.2.1"), None);
}

#[test]
fn the_client_is_the_rightmost_address_that_is_not_trusted() {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
    let client = |lines: &str, peer: &str| {
        client_address(head(lines).fields(), peer.parse().unwrap(), &trusted).to_string()
    };
    let chain = "X-Forwarded-For: 192.0.2.66, 192.0.2.1\r\nX-Forwarded-For: 10.0.0.7 , 10.0.0.8:99\r\n";
    assert_eq!(client(chain, "10.0.0.9"), "192.0.2.1");
    assert_eq!(client(chain, "::ffff:10.0.0.9"), "192.0.2.1");
    assert_eq!(client(chain, "fd00::1"), "192.0.2.1");
    assert_eq!(client(chain, "192.0.2.9"), "192.0.2.9");
    assert_eq!(client("", "10.0.0.9"), "10.0.0.9");
    assert_eq!(client("X-Forwarded-For: 10.1.1.1, 10.0.0.7\r\n", "10.0.0.9"), "10.1.1.1");
    assert_eq!(client("X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.7\r\n", "10.0.0.9"), "10.0.0.7");
    assert_eq!(client("X-Forwarded-For: garbage\r\n", "10.0.0.9"), "10.0.0.9");
    let forwarded = "Forwarded: for=192.0.2.66, for=\"[2001:db8::1]:4711\";proto=http, for=10.0.0.7\r\n";
    assert_eq!(client(forwarded, "10.0.0.9"), "2001:db8::1");
    assert_eq!(client(&format!("{forwarded}X-Forwarded-For: 192.0.2.1\r\n"), "10.0.0.9"), "192.0.2.1");
}
