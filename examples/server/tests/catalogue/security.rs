//! Security: what each promise is shown by. The tests stand where they run best; here is the table.

use crate::row::Part;

pub(crate) const PART: Part = Part {
    title: "Security",
    intro: "What must hold whatever is tried. [SECURITY.md](../SECURITY.md) says against whom, and what is not covered.",
    rows: &[PAGES, LOGINS, TOKENS, PASSWORDS, ROOMS, TEXTS, STATEMENTS, OPERATORS, BUILD],
};

proven_in! { PAGES;
    "S1" "an upgrade with the cookie, from 19 origins that look like ours or like the allowed one" => "403",
        "examples/server/tests/it/security/pages.rs", "only_our_pages_and_allowed_ones_open_a_socket_s1";
    "S2.change" "every request that changes something, with the cookie, from another site" => "403, nothing changed",
        "examples/server/tests/it/security/pages.rs", "another_sites_page_changes_nothing_with_the_cookie_s2";
    "S2.form" "a login as a form of another site" => "415, no cookie",
        "examples/server/tests/it/security/pages.rs", "a_form_logs_nobody_in_s2";
    "S2.cookie" "the login's cookie" => "`HttpOnly`, `SameSite=Strict`, used by our pages only",
        "examples/server/tests/it/accounts.rs", "the_cookie_logs_in_a_page_of_ours_and_no_other";
    "S3.query" "a token in the query, anywhere" => "400, and not in the log",
        "examples/server/tests/it/accounts.rs", "a_token_in_the_query_is_refused_wherever_it_goes";
    "S3.log" "more than 20 secrets in passwords, tokens, cookies, headers, queries, files" => "none in the log at level trace, in /metrics, in the arguments",
        "examples/server/tests/it/security/secrets.rs",
        "twenty_planted_secrets_are_in_no_log_line_no_metric_and_no_argument_s3_s40";
    "S4.listen" "an address beyond loopback without TLS and without a proxy" => "does not start",
        "examples/server/tests/it/options.rs", "nothing_that_others_can_reach_is_opened_without_tls_or_a_proxy";
    "S4.secure" "a login over TLS" => "the cookie is `Secure`; nothing is answered in the clear",
        "examples/server/tests/it/tls.rs", "page_accounts_and_sockets_work_over_tls";
}

proven_in! { LOGINS;
    "S7.process" "a socket whose login ends; another that was refreshed" => "warned; close 4002; the other goes on",
        "examples/server/tests/it/security/sessions.rs", "a_socket_ends_with_its_login_unless_a_newer_one_refreshes_it_s7";
    "S7.warning" "nothing, while the authentication ends" => "one `expiring` in the last minute, then close 4002",
        "chat-core/tests/expiry.rs", "a_client_is_warned_once_and_closed_when_its_authentication_ends_s7";
    "S7.user" "`refresh` with another user's token, with nonsense" => "error denied, unauthenticated; nothing changed",
        "chat-core/tests/expiry.rs", "a_session_cannot_change_its_user_and_a_wrong_token_changes_nothing_s7";
    "S8.logout" "a logout" => "close 4003 for that login, others go on",
        "examples/server/tests/it/security/sessions.rs", "a_logout_closes_the_sockets_of_that_login_s8";
    "S8.password" "a change of password" => "close 4003 for all other logins; the old password opens none",
        "examples/server/tests/it/security/sessions.rs", "a_change_of_password_closes_the_sockets_of_all_other_logins_s8";
    "S8.ban" "a ban, with sockets open, and one between upgrade and hello" => "close 4003; no hello, no login",
        "examples/server/tests/it/security/sessions.rs", "a_ban_closes_all_sockets_of_a_user_and_opens_none_s8";
    "S8.race" "a login whose password was checked just before a change or a ban" => "does not begin",
        "examples/server/src/accounts/tests.rs",
        "a_login_that_was_checked_before_a_change_of_password_or_a_ban_does_not_begin_after_it";
    "S8.refreshed" "the end of the login that a session was refreshed with" => "close 4003",
        "chat-core/tests/expiry.rs", "a_refreshed_session_ends_with_its_newest_login_and_no_other_s8";
    "S8.refreshing" "`refresh` with a login that is revoked meanwhile" => "close 4003",
        "chat-core/tests/expiry.rs", "a_login_that_is_revoked_while_its_token_is_checked_refreshes_nothing_s8";
    "S13.fresh" "a login that brings a token of its own choice" => "another token of 256 bits",
        "examples/server/tests/it/security/sessions.rs", "every_login_has_a_fresh_token_whatever_the_client_brings_s13";
    "S13.stored" "a look into the database" => "hashes of tokens only",
        "examples/server/src/accounts/token.rs", "a_token_has_256_bits_and_is_stored_as_a_hash";
}

proven_in! { TOKENS;
    "S9.none" "a JWT with `alg` none in all spellings, or without a signature" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "a_token_without_a_signature_is_refused_whatever_it_calls_its_algorithm";
    "S9.confusion" "a JWT signed by HMAC with the public RSA key; other lengths of hash" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "a_public_key_is_no_secret_to_sign_with";
    "S9.kid" "a JWT whose `kid` is a path, a URL, SQL, empty, no text, or missing" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "a_kid_names_one_of_the_keys_and_is_nothing_else";
    "S9.jku" "a JWT with `jku`, `x5u`, `jwk`, `x5c`, `crit`, or a wrong `typ`" => "unauthenticated; nothing is fetched",
        "chat-engine/tests/jwt.rs", "a_header_that_says_where_its_key_is_leads_nowhere";
    "S9.claims" "a JWT without `iss`, `aud`, `exp`, `nbf` or `sub`, or with wrong ones" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "what_a_token_says_has_to_be_there_and_right";
    "S9.leeway" "a JWT that ended, or begins, 70 s away" => "unauthenticated; within 60 s accepted",
        "chat-engine/tests/jwt.rs", "clocks_may_differ_by_the_leeway_and_by_no_more";
}

proven_in! { PASSWORDS;
    "S10.memory" "sixteen logins at once" => "memory of two hashes; 200, 429 or 503",
        "examples/server/tests/it/security/passwords.rs", "sixteen_logins_at_once_take_the_memory_of_two_s10";
    "S10.line" "more logins than may wait" => "come again",
        "examples/server/src/accounts/password.rs", "two_hashes_run_at_once_and_a_full_line_is_told_to_come_again";
    "S10.cost" "a stolen database" => "Argon2id, 19 MiB, two passes",
        "examples/server/src/accounts/password.rs", "a_hash_costs_at_least_19_mib_and_two_passes";
    "S10.rehash" "a login with a hash of older parameters" => "hashed anew",
        "examples/server/src/accounts/tests.rs", "a_hash_of_old_parameters_is_renewed_at_login";
    "S10.choice" "passwords too short, too long, common, or the user's name" => "refused; 8 to 1,024 characters of any kind are fine",
        "examples/server/src/accounts/password.rs", "a_password_is_long_enough_not_too_long_and_not_the_first_guess";
    "S11.user" "logins of unknown users and with wrong passwords" => "one answer, one hash each",
        "examples/server/tests/it/security/passwords.rs", "an_unknown_user_costs_one_hash_as_a_wrong_password_does_s11";
    "S11.room" "commands for foreign rooms and for rooms that do not exist" => "the same number of reads",
        "chat-core/tests/strangers.rs", "a_foreign_room_costs_the_same_reads_as_one_that_does_not_exist_s11";
    "S12.account" "60 guesses at one account from 60 addresses" => "429 for strangers; its owner still logs in",
        "examples/server/tests/it/limits.rs", "guessing_is_slowed_down_and_the_owner_still_logs_in";
    "S12.address" "60 guesses from one address that says it is many" => "429",
        "examples/server/tests/it/limits.rs", "an_address_that_no_proxy_of_ours_names_is_not_believed";
    "S12.current" "guesses at the current password with a stolen token" => "counted like logins",
        "examples/server/src/accounts/tests.rs", "guesses_at_the_current_password_are_counted_like_those_at_the_login";
}

proven_in! { ROOMS;
    "S14.rooms" "100,000 random commands of strangers, to private rooms, inboxes and ids that are nothing" => "the same bytes; nothing stored or delivered",
        "chat-core/tests/strangers.rs", "a_foreign_room_answers_every_command_as_one_that_does_not_exist_s14";
    "S14.cursors" "a hello with cursors of foreign rooms" => "the same as of no room",
        "chat-core/tests/strangers.rs", "a_cursor_of_a_foreign_room_is_answered_as_one_of_no_room_s14";
}

proven_in! { TEXTS;
    "S16.messages" "60 scripts as messages, replies, edits, reactions and bodies of other kinds" => "shown as typed in a browser; none runs",
        "examples/server/tests/browser/scripts.test.js", "sixty messages, replies and edits are shown as they were typed";
    "S16.names" "scripts as titles, topics, names, commands and quotes" => "shown as typed; none runs",
        "examples/server/tests/browser/scripts.test.js", "titles, topics, names, command lines and quotes are text too";
    "S16.policy" "an inline script, as if markup had come through" => "stopped by the policy",
        "examples/server/tests/browser/scripts.test.js", "nothing inline is allowed even if markup came through";
    "S17" "addresses of other schemes, and such as break out of an attribute" => "links are http or https, `rel=noopener noreferrer`",
        "examples/server/tests/browser/scripts.test.js", "only web addresses become links, and what they open knows nothing of us";
    "S18.code" "44 tricks as a stock code" => "no connection but to the quote service",
        "examples/stock-bot/tests/it/egress.rs", "no_code_sends_the_request_elsewhere_s18";
    "S18.name" "a host name that resolves to a private address" => "not connected to",
        "examples/stock-bot/tests/it/egress.rs", "a_name_that_resolves_to_a_private_address_is_not_connected_to_s18";
    "S18.address" "a private address in the template, in all spellings" => "does not start",
        "examples/stock-bot/tests/it/egress.rs", "a_private_address_in_the_template_must_be_allowed_s18";
    "S21" "line ends, escapes and overridden direction in everything that is logged" => "escaped; each line is ours",
        "examples/server/tests/it/security/leaks.rs", "nobody_forges_a_log_line_s21";
}

proven_in! { STATEMENTS;
    "S19.statements" "a statement made of anything but the source and a checked prefix" => "does not pass the tests",
        "chat-store-sql/tests/sqlite/statements.rs", "nothing_but_a_checked_prefix_is_ever_put_into_a_statement_s19";
    "S19.prefix" "a prefix that is more than a name" => "refused",
        "chat-store-sql/src/prefix.rs", "a_prefix_cannot_leave_its_place_in_a_statement";
    "S19.values" "SQL and operators of MongoDB in every field" => "text, or 400",
        "examples/server/tests/it/security/leaks.rs", "what_looks_like_sql_is_text_s19";
    "S20" "texts of 128 KiB, far below what a driver miscounts" => "413; close 1009",
        "examples/server/tests/it/security/leaks.rs", "no_text_is_long_enough_to_overflow_a_length_s20";
    "S28" "requests while tables are missing, and for what is not there" => "503 or 404 without SQL, path, stack or version",
        "examples/server/tests/it/security/leaks.rs", "an_error_tells_nothing_of_the_insides_s28";
}

proven_in! { OPERATORS;
    "S27.listener" "`/live`, `/ready`, `/metrics` where people are" => "404",
        "examples/server/tests/it/operators.rs", "operators_see_health_and_metrics_on_a_listener_of_their_own";
    "S27.pages" "a ban by a page in the operator's browser" => "403",
        "examples/server/tests/it/security/pages.rs", "no_page_bans_through_the_operators_browser_s27";
    "S40.arguments" "a secret on the command line" => "refused, and not repeated",
        "examples/server/tests/it/security/secrets.rs", "a_secret_on_the_command_line_is_refused_and_not_repeated_s40";
    "S40.debug" "`Debug` of options and configuration" => "no secret",
        "examples/server/src/config/tests.rs", "no_debug_of_a_configuration_shows_a_secret";
    "S40.files" "another user of the machine" => "databases are their owner's only",
        "examples/server/tests/it/options.rs", "databases_are_readable_for_their_owner_only";
}

proven_in! { BUILD;
    "S26" "a map with a predictable hasher" => "does not pass the tests, or clippy",
        "examples/server/tests/it/security/supply.rs", "no_crate_of_ours_uses_a_predictable_hasher_s26";
    "S31.supply" "a licence, a crate or a source that `deny.toml` forbids" => "does not pass the tests",
        "examples/server/tests/it/security/supply.rs", "nothing_is_built_in_that_deny_toml_forbids_s31";
    "S31.unsafe" "`unsafe` in a crate of ours" => "does not compile",
        "examples/server/tests/it/security/supply.rs", "every_crate_of_ours_forbids_unsafe_code_s31";
}
