//! RFC 9110, HTTP semantics: what intermediaries do.

use super::Level::{May, Must, MustNot, Should};
use super::{Requirement, held, otherwise};

pub(super) const REQUIREMENTS: &[Requirement] = &[
    held(
        "9110 §4.2.4",
        Should,
        "user information in a target is an error",
        &[
            "head/authority.rs::hosts_are_accepted_or_refused",
            "http1/smuggling.rs::ambiguous_heads_are_refused",
        ],
    ),
    held(
        "9110 §5.1",
        Must,
        "fields that are not known are forwarded",
        &["http1/fields.rs::other_fields_pass_untouched"],
    ),
    held(
        "9110 §5.3",
        MustNot,
        "the order of lines of one field is changed",
        &[
            "http1/fields.rs::other_fields_pass_untouched",
            "fields/tests.rs::untouched_lines_leave_byte_for_byte",
        ],
    ),
    held(
        "9110 §5.5",
        Must,
        "CR, LF and NUL in a value: the message is rejected",
        &[
            "head/tests/requests.rs::all_256_bytes_in_every_place_are_judged_as_the_grammar_says",
            "http1/messages.rs::bad_responses_are_not_passed_on",
        ],
    ),
    held(
        "9110 §5.6.1",
        Must,
        "empty elements of a list are ignored",
        &["gateway/hygiene.rs::nominated_fields_go_unless_they_are_known_as_end_to_end"],
    ),
    held(
        "9110 §6.5.1",
        MustNot,
        "fields that frame, route or authenticate are taken from trailers",
        &[
            "body/tests.rs::trailers_are_kept_without_those_that_must_not_be",
            "http1/messages.rs::trailers_cannot_change_the_message",
        ],
    ),
    held(
        "9110 §6.6.1",
        Must,
        "an answer without a date is passed on with one",
        &["http1/fields.rs::answers_have_a_date_and_a_whole_status_line"],
    ),
    held(
        "9110 §7.2",
        Should,
        "Host comes first where it is made",
        &["head/tests/requests.rs::absolute_form_becomes_origin_form_and_its_authority_wins"],
    ),
    otherwise(
        "9110 §7.6",
        MustNot,
        "a message is forwarded to oneself without protection from a loop",
        "a pool that names Aya's own address is the operator's doing, and is found by its first request: it ends with the time for the whole request, or the limit of connections. `Max-Forwards` is honoured",
        &["timeouts.rs::the_whole_request_has_its_time"],
    ),
    held(
        "9110 §7.6.1",
        Must,
        "`Connection` is parsed, the fields that it names are removed, then itself",
        &[
            "http1/fields.rs::hop_by_hop_fields_end_here",
            "gateway/hygiene.rs::nominated_fields_go_unless_they_are_known_as_end_to_end",
        ],
    ),
    otherwise(
        "9110 §7.6.1",
        Must,
        "so are end-to-end fields that it names, and any number of them",
        "a client could take Host, Authorization or what a proxy vouches for away from the endpoint; known fields and `X-Forwarded-*` stay, and the first 16 names count",
        &[
            "http1/fields.rs::connection_cannot_nominate_what_matters",
            "gateway/hygiene.rs::the_number_of_nominated_fields_is_bounded",
        ],
    ),
    otherwise(
        "9110 §7.6.1",
        Must,
        "trailers that it names are removed",
        "names are not kept until the trailers come; what could do harm as a trailer is dropped whether it was named or not",
        &["body/tests.rs::trailers_are_kept_without_those_that_must_not_be"],
    ),
    held(
        "9110 §7.6.1",
        Should,
        "Proxy-Connection, Keep-Alive, TE, Transfer-Encoding and Upgrade are removed even if they are not named",
        &[
            "gateway/hygiene.rs::fields_about_the_connection_go",
            "http1/fields.rs::hop_by_hop_fields_end_here",
        ],
    ),
    held(
        "9110 §7.6.2",
        Must,
        "`Max-Forwards` of OPTIONS and TRACE is counted down, and the request answered at zero",
        &["http1/fields.rs::max_forwards_is_counted_down"],
    ),
    held(
        "9110 §7.6.3",
        Must,
        "a gateway sends `Via` in each request, unless it is switched off",
        &["http1/fields.rs::via_names_the_proxy"],
    ),
    held(
        "9110 §7.6.3",
        Must,
        "`Via` has the version of the message as it was received, and entries keep their order",
        &["gateway/via.rs::each_hop_adds_its_line_with_the_version_it_received"],
    ),
    otherwise(
        "9110 §7.7",
        MustNot,
        "a proxy changes path and query",
        "a gateway may map them. Aya sends the path that its routes were matched with: dot segments resolved, needless encodings undone; the query is never touched",
        &["routing.rs::the_matched_path_is_the_path_sent"],
    ),
    held(
        "9110 §7.7",
        MustNot,
        "content is transformed",
        &[
            "http1/messages.rs::response_bodies_arrive_whole",
            "http1/messages.rs::request_bodies_arrive_whole",
        ],
    ),
    held(
        "9110 §7.8",
        Must,
        "`Upgrade` in an HTTP/1.0 request is ignored",
        &["head/tests/requests.rs::an_upgrade_needs_both_fields_and_another_protocol_than_http"],
    ),
    held(
        "9110 §7.8",
        Must,
        "`Upgrade` that `Connection` does not name is not passed on",
        &["http1/interim.rs::an_upgrade_must_be_named"],
    ),
    held(
        "9110 §7.8",
        MustNot,
        "a protocol is switched to that the client did not ask for",
        &["http1/messages.rs::bad_responses_are_not_passed_on"],
    ),
    held(
        "9110 §7.8",
        MustNot,
        "the new protocol is used before the switch",
        &["http1/interim.rs::bytes_flow_only_after_the_switch"],
    ),
    held(
        "9110 §8.6",
        MustNot,
        "a length is sent in 1xx and 204",
        &[
            "gateway/hygiene.rs::responses_without_body_have_no_framing_fields",
            "http1/messages.rs::statuses_without_body_have_none",
        ],
    ),
    held(
        "9110 §8.6",
        Must,
        "lengths that are too large to be counted are anticipated",
        &["head/tests/requests.rs::request_framing", "http1/smuggling.rs::ambiguous_heads_are_refused"],
    ),
    held(
        "9110 §8.6",
        MustNot,
        "a message is forwarded with a length that is known to be wrong",
        &[
            "body/tests.rs::announced_lengths_are_kept",
            "http1/messages.rs::a_broken_response_is_not_made_whole",
        ],
    ),
    held(
        "9110 §8.6",
        May,
        "a repeated length is rejected, even of equal values",
        &["http1/smuggling.rs::repeated_lengths_are_never_passed_on"],
    ),
    held(
        "9110 §9.1",
        Must,
        "methods are told apart by case (a known one in another is refused), and those that are not known are passed on",
        &["codec/corpus.rs::what_is_carried_is_explained"],
    ),
    held("9110 §9.3.2", MustNot, "an answer to HEAD has content", &["http1/messages.rs::head_has_no_body"]),
    held(
        "9110 §9.3.6",
        Must,
        "CONNECT without a valid port is rejected",
        &[
            "head/tests/requests.rs::connect_names_its_authority",
            "http1/smuggling.rs::unspoken_things_are_refused",
        ],
    ),
    otherwise(
        "9110 §9.3.6",
        May,
        "CONNECT makes a tunnel",
        "a gateway is no way out into the net: 501",
        &["http1/smuggling.rs::unspoken_things_are_refused"],
    ),
    held(
        "9110 §9.3.8",
        MustNot,
        "content is sent with TRACE",
        &["http1/smuggling.rs::unspoken_things_are_refused"],
    ),
    held(
        "9110 §10.1.1",
        Must,
        "an expectation in HTTP/1.0 is ignored",
        &["http1/interim.rs::an_old_clients_expectation_means_nothing"],
    ),
    held(
        "9110 §10.1.1",
        Must,
        "a request that waits for 100 is answered or passed on at once",
        &[
            "http1/interim.rs::a_backend_says_continue",
            "http1/interim.rs::a_backend_refuses_instead_of_continuing",
        ],
    ),
    held(
        "9110 §10.1.1",
        MustNot,
        "a client is told to go on where its body is not wanted",
        &["http1/interim.rs::own_answers_do_not_say_continue"],
    ),
    held(
        "9110 §10.1.1",
        May,
        "an expectation that is not known gets 417",
        &["http1/interim.rs::other_expectations_fail"],
    ),
    held(
        "9110 §10.1.1",
        MustNot,
        "a client's body is waited for without end when the endpoint says nothing",
        &["http1/interim.rs::nobody_has_to_wait_for_continue"],
    ),
    held(
        "9110 §11.7",
        Must,
        "credentials for the proxy end here",
        &["gateway/hygiene.rs::fields_about_the_connection_go"],
    ),
    held(
        "9110 §15.2",
        Must,
        "any number of 1xx before an answer is understood, up to a bound",
        &["http1/interim.rs::early_hints_pass", "http1/interim.rs::endless_interim_answers_end"],
    ),
    held("9110 §15.2", Must, "1xx are forwarded", &["http1/interim.rs::early_hints_pass"]),
    held(
        "9110 §15.2",
        MustNot,
        "1xx are sent to a client of HTTP/1.0",
        &["http1/interim.rs::early_hints_pass"],
    ),
    held(
        "9110 §15",
        Should,
        "a status outside 100–599 is treated as a failure of the endpoint",
        &["http1/messages.rs::bad_responses_are_not_passed_on"],
    ),
    held(
        "9110 §15.5.6",
        Must,
        "a 405 says in `Allow` what is allowed",
        &["http1/fields.rs::max_forwards_is_counted_down"],
    ),
    held("9110 §15.5.9", Should, "a 408 says `close`", &["timeouts.rs::the_request_head_has_its_time"]),
    held(
        "9110 §15.6.6",
        Should,
        "a version that is not spoken gets 505",
        &["http1/smuggling.rs::unspoken_things_are_refused"],
    ),
];
