//! RFC 9112, HTTP/1.1: the messages and the connection.

use super::Level::{May, Must, MustNot, Should, ShouldNot};
use super::{Requirement, held, otherwise};

pub(super) const REQUIREMENTS: &[Requirement] = &[
    held(
        "9112 §2.2",
        Must,
        "a message is parsed as octets, not as characters",
        &["head/tests/requests.rs::all_256_bytes_in_every_place_are_judged_as_the_grammar_says"],
    ),
    held(
        "9112 §2.2",
        Must,
        "a bare CR makes what it is in invalid",
        &[
            "http1/smuggling.rs::ambiguous_heads_are_refused",
            "http1/messages.rs::bad_responses_are_not_passed_on",
            "codec/corpus.rs::our_own_cases_are_read_as_they_say",
        ],
    ),
    held(
        "9112 §2.2",
        Should,
        "an empty line before a request is ignored",
        &[
            "http1/messages.rs::a_dripping_head_is_understood",
            "codec/corpus.rs::our_own_cases_are_read_as_they_say",
        ],
    ),
    otherwise(
        "9112 §2.2",
        May,
        "a single LF is taken for the end of a line",
        "what takes it and what does not read different messages; no sender leaves the CR out",
        &[
            "fields/tests.rs::lines_that_end_otherwise_than_with_crlf_are_refused",
            "http1/smuggling.rs::ambiguous_heads_are_refused",
        ],
    ),
    held(
        "9112 §2.2",
        Must,
        "blanks before the first field line: the message is rejected",
        &[
            "http1/smuggling.rs::ambiguous_heads_are_refused",
            "http1/messages.rs::bad_responses_are_not_passed_on",
        ],
    ),
    held(
        "9112 §2.2",
        Should,
        "what is no HTTP gets 400, and the connection is closed",
        &["http1/smuggling.rs::ambiguous_heads_are_refused", "http1/smuggling.rs::random_bytes_do_no_harm"],
    ),
    held(
        "9112 §2.3",
        Must,
        "an intermediary sends its own version",
        &[
            "head/tests/requests.rs::an_untouched_head_leaves_as_it_came_and_an_old_one_in_the_new_version",
            "http1/messages.rs::an_old_backend_is_understood",
        ],
    ),
    held(
        "9112 §3",
        Should,
        "an invalid request line is answered with 400 and not repaired",
        &["http1/smuggling.rs::ambiguous_heads_are_refused"],
    ),
    held(
        "9112 §3",
        Must,
        "a target longer than is wanted gets 414",
        &[
            "timeouts.rs::large_request_heads_are_refused",
            "head/tests/requests.rs::a_long_target_or_head_is_named_before_it_is_complete",
        ],
    ),
    held(
        "9112 §3.2",
        Must,
        "no Host in HTTP/1.1, more than one, or an invalid one gets 400",
        &[
            "http1/fields.rs::the_host_must_be_one_and_valid",
            "head/authority.rs::hosts_are_accepted_or_refused",
        ],
    ),
    held(
        "9112 §3.2.1",
        Must,
        "an empty path is sent as `/`",
        &["head/tests/requests.rs::absolute_form_becomes_origin_form_and_its_authority_wins"],
    ),
    held(
        "9112 §3.2.2",
        Must,
        "a target in absolute form is accepted, decides the host, and Host is made from it",
        &[
            "http1/fields.rs::absolute_form_decides_the_host",
            "head/tests/requests.rs::absolute_form_becomes_origin_form_and_its_authority_wins",
        ],
    ),
    held(
        "9112 §3.2.4",
        Must,
        "OPTIONS in absolute form without path and query is sent as `*`",
        &["head/tests/requests.rs::absolute_form_becomes_origin_form_and_its_authority_wins"],
    ),
    held(
        "9112 §4",
        Must,
        "the blank behind the status is sent even without a reason phrase",
        &[
            "http1/fields.rs::answers_have_a_date_and_a_whole_status_line",
            "head/tests/responses.rs::responses_leave_as_they_came_and_old_ones_in_the_new_version",
        ],
    ),
    held(
        "9112 §5.1",
        Must,
        "a blank between name and colon in a request gets 400",
        &["http1/smuggling.rs::ambiguous_heads_are_refused"],
    ),
    otherwise(
        "9112 §5.1",
        Must,
        "a proxy removes such a blank from an answer",
        "the answer is not passed on at all: 502. Who frames by `Content-Length :` and who does not read different answers",
        &["http1/messages.rs::bad_responses_are_not_passed_on"],
    ),
    held(
        "9112 §5.2",
        Must,
        "a folded line in a request gets 400",
        &["http1/smuggling.rs::ambiguous_heads_are_refused"],
    ),
    held(
        "9112 §5.2",
        Must,
        "a folded line in an answer: the answer is discarded, and a 502 takes its place",
        &["http1/messages.rs::bad_responses_are_not_passed_on"],
    ),
    held(
        "9112 §6",
        Must,
        "whether a request has a body is told by its fields, not by its method",
        &["head/tests/requests.rs::request_framing", "http1/messages.rs::pipelined_bodies_are_kept_apart"],
    ),
    held(
        "9112 §6.1",
        MustNot,
        "a coding is sent to a client of HTTP/1.0",
        &["http1/messages.rs::an_old_client_gets_no_chunks"],
    ),
    held(
        "9112 §6.1",
        MustNot,
        "a coding is sent in 1xx and 204",
        &[
            "gateway/hygiene.rs::responses_without_body_have_no_framing_fields",
            "gateway/hygiene.rs::interim_answers_are_fit_to_be_passed_on",
        ],
    ),
    held(
        "9112 §6.1",
        Must,
        "a request with a length and a coding is rejected, or the connection is closed behind it",
        &["http1/smuggling.rs::ambiguous_heads_are_refused"],
    ),
    held(
        "9112 §6.1",
        Must,
        "a coding in an HTTP/1.0 message means that its framing is faulty",
        &[
            "head/tests/requests.rs::http_1_0_needs_no_host_and_knows_no_transfer_encoding",
            "http1/smuggling.rs::ambiguous_heads_are_refused",
            "http1/messages.rs::bad_responses_are_not_passed_on",
        ],
    ),
    held(
        "9112 §6.1",
        Should,
        "a coding that is not understood gets 501",
        &["http1/smuggling.rs::unspoken_things_are_refused"],
    ),
    held(
        "9112 §6.1",
        MustNot,
        "`chunked` is applied more than once",
        &["http1/smuggling.rs::ambiguous_heads_are_refused", "body/tests.rs::chunks_are_framed"],
    ),
    held(
        "9112 §6.2",
        MustNot,
        "a length is sent beside a coding",
        &[
            "http1/smuggling.rs::ambiguous_answers_are_not_passed_on",
            "head/tests/requests.rs::request_framing",
        ],
    ),
    held(
        "9112 §6.3",
        Must,
        "answers to HEAD, 1xx, 204 and 304 end with their head",
        &[
            "http1/messages.rs::head_has_no_body",
            "http1/messages.rs::statuses_without_body_have_none",
            "codec/corpus.rs::our_own_cases_are_read_as_they_say",
        ],
    ),
    held(
        "9112 §6.3",
        Must,
        "a request whose last coding is not `chunked` gets 400, and the connection is closed",
        &[
            "http1/smuggling.rs::unspoken_things_are_refused",
            "http1/smuggling.rs::ambiguous_heads_are_refused",
        ],
    ),
    otherwise(
        "9112 §6.3",
        Must,
        "an answer whose last coding is not `chunked` is read until the connection ends",
        "it gets 502: Aya undoes no codings, and what it passed on would be framed otherwise than it came",
        &["codec/corpus.rs::our_own_cases_are_read_as_they_say"],
    ),
    held(
        "9112 §6.3",
        Must,
        "an invalid length in a request gets 400, and the connection is closed",
        &["http1/smuggling.rs::ambiguous_heads_are_refused"],
    ),
    held(
        "9112 §6.3",
        Must,
        "an invalid length in an answer: the connection is closed, the answer discarded, a 502 sent",
        &["http1/messages.rs::bad_responses_are_not_passed_on"],
    ),
    held(
        "9112 §6.3",
        Must,
        "a body that ends before its length is incomplete, and the connection is closed",
        &[
            "http1/messages.rs::a_broken_response_is_not_made_whole",
            "http1/messages.rs::a_broken_request_is_not_made_whole",
        ],
    ),
    held(
        "9112 §6.3",
        MustNot,
        "what follows an answer is passed on as another answer",
        &["http1/messages.rs::bytes_after_an_answer_are_not_the_next_answer"],
    ),
    held(
        "9112 §7.1",
        Must,
        "`chunked` is understood, in any case",
        &[
            "body/tests.rs::chunked_bodies_are_decoded_up_to_their_last_byte",
            "http1/messages.rs::chunk_extensions_are_ignored",
        ],
    ),
    held(
        "9112 §7.1",
        Must,
        "chunk sizes that are too large to be counted are anticipated",
        &["body/tests.rs::malformed_chunked_bodies_are_refused"],
    ),
    held(
        "9112 §7.1.1",
        Must,
        "chunk extensions that are not known are ignored",
        &["http1/messages.rs::chunk_extensions_are_ignored"],
    ),
    held(
        "9112 §7.1.1",
        Should,
        "the length of chunk extensions is limited",
        &["body/tests.rs::chunk_extensions_are_limited_each_and_against_the_data"],
    ),
    held(
        "9112 §7.1.2",
        MustNot,
        "a trailer is merged into the head",
        &[
            "http1/messages.rs::trailers_pass_both_ways",
            "http1/messages.rs::trailers_cannot_change_the_message",
        ],
    ),
    otherwise(
        "9112 §7.4",
        Must,
        "who sends `TE` names it in `Connection`",
        "`TE: trailers` is kept for the endpoint alone, which needs it to send trailers (gRPC); a request with `Connection: te` is taken by some servers as one that wants no trailers passed",
        &["gateway/hygiene.rs::trailers_can_still_be_asked_for"],
    ),
    held(
        "9112 §8",
        Must,
        "a chunked body without its last chunk is incomplete",
        &[
            "http1/messages.rs::a_broken_response_is_not_made_whole",
            "body/tests.rs::malformed_chunked_bodies_are_refused",
        ],
    ),
    held(
        "9112 §9.2",
        Must,
        "answers belong to requests in their order",
        &[
            "http1/messages.rs::pipelined_requests_are_answered_in_order",
            "http1/messages.rs::bytes_after_an_answer_are_not_the_next_answer",
        ],
    ),
    held(
        "9112 §9.3",
        Must,
        "whether a connection persists is told by version and `Connection`",
        &[
            "head/tests/requests.rs::connections_persist_by_version_and_option",
            "http1/messages.rs::an_old_client_keeps_its_connection_when_it_asks",
        ],
    ),
    otherwise(
        "9112 §9.3",
        MustNot,
        "a proxy keeps a connection with a client of HTTP/1.0",
        "it is about proxies that clients choose, which may not know what a hop before them understood. Aya is the server of its clients, and both ends of the connection have agreed",
        &["http1/messages.rs::an_old_client_keeps_its_connection_when_it_asks"],
    ),
    held(
        "9112 §9.3",
        Must,
        "the whole body of a request is read, or the connection closed behind the answer",
        &[
            "http1/interim.rs::an_early_answer_overtakes_the_body",
            "http1/interim.rs::own_answers_do_not_say_continue",
        ],
    ),
    held(
        "9112 §9.3.1",
        MustNot,
        "a proxy sends a request again whose method is not idempotent",
        &["upstream.rs::a_post_is_not_sent_twice", "upstream.rs::a_begun_answer_is_not_replayed"],
    ),
    held(
        "9112 §9.3.1",
        May,
        "an idempotent request is sent again when the connection failed",
        &["upstream.rs::idempotent_requests_survive_a_dead_connection"],
    ),
    otherwise(
        "9112 §9.3.1",
        ShouldNot,
        "a failed retry is retried",
        "`retry.attempts` says how often, over different endpoints; a connection that is refused has taken nothing",
        &["upstream.rs::a_refused_connection_goes_to_the_next"],
    ),
    held(
        "9112 §9.3.2",
        Must,
        "pipelined requests are answered in their order",
        &["http1/messages.rs::pipelined_requests_are_answered_in_order"],
    ),
    held(
        "9112 §9.5",
        Should,
        "a connection that the other side closes is noticed",
        &["timeouts.rs::abandoned_requests_are_given_up", "upstream.rs::dead_idle_connections_are_not_used"],
    ),
    held(
        "9112 §9.6",
        MustNot,
        "requests are sent on a connection that was to close",
        &["upstream.rs::closing_connections_are_not_reused"],
    ),
    held(
        "9112 §9.6",
        Must,
        "`close` in a request: it is answered, said back, nothing behind it is processed, and the connection closed",
        &["http1/messages.rs::connection_close_ends_the_connection"],
    ),
    held(
        "9112 §9.6",
        Should,
        "a connection is closed in stages, so that the answer is not lost by a reset",
        &[
            "http1/interim.rs::an_early_answer_survives_the_reset_behind_it",
            "upstream.rs::a_refusal_reaches_a_client_that_is_still_sending",
        ],
    ),
    held(
        "9112 §11.1",
        Must,
        "a field that is set cannot bring a line of its own",
        &[
            "fields/tests.rs::a_value_cannot_bring_a_line",
            "fields/tests.rs::a_name_cannot_bring_a_line",
            "routing.rs::redirects_do_not_split_answers",
        ],
    ),
];
