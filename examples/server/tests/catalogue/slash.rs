//! C1 to C18: texts that begin with a slash.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    case::Case,
    raw::{TEXT, frame},
    row::Part,
    server::key,
    talk::{says_each, send},
};

pub(crate) const PART: Part = Part {
    title: "Slash commands",
    intro: "Texts in a room, as somebody types them. Unless the reply says otherwise, the caller alone is told, nothing is \
            stored, no job is made and no quote service is asked. A code is 1 to 16 of `A-Z a-z 0-9 . ^ -`.",
    rows: &[ROWS, ELSEWHERE],
};

cases! { ROWS, shared;
    "C1" c01_no_code: "`/stock=`, `/stock`" => "error invalid_command", refused(&["/stock=", "/stock"]);
    "C2" c02_parameter: "`/stock=AAPL.US&f=x`, `/stock=AAPL?x`, `/stock=AAPL#x`" => "error invalid_command",
        refused(&["/stock=AAPL.US&f=x", "/stock=AAPL?x", "/stock=AAPL#x"]);
    "C3" c03_path: "`/stock=../../etc`, `/stock=..`, `/stock=a/b`, `/stock=a\\b`" => "error invalid_command",
        refused(&["/stock=../../etc", "/stock=..", "/stock=.", "/stock=a/b", "/stock=a\\b"]);
    "C4" c04_url: "`/stock=http://127.0.0.1/`, `/stock=//127.0.0.1`" => "error invalid_command",
        refused(&["/stock=http://127.0.0.1/", "/stock=//127.0.0.1"]);
    "C5" c05_host: "`/stock=@169.254.169.254`, `/stock=a:b@c`, `/stock=[::1]`" => "error invalid_command",
        refused(&["/stock=@169.254.169.254", "/stock=a:b@c", "/stock=[::1]"]);
    "C6" c06_other_letters: "`/stock=аapl` with a Cyrillic а, full-width letters, other digits" => "error invalid_command",
        refused(&["/stock=\u{430}apl", "/stock=\u{ff21}\u{ff21}", "/stock=\u{661}\u{662}"]);
    "C7" c07_escapes: "`/stock=a%0d%0aHost:x`, `/stock=%41`" => "error invalid_command",
        refused(&["/stock=a%0d%0aHost:x", "/stock=%41"]);
    "C8" c08_long_code: "codes of 17 and of 33 characters" => "error invalid_command",
        refused(&["/stock=AAAAAAAAAAAAAAAAA", "/stock=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]);
    "C9.upper" c09_upper_case: "`/STOCK=aapl`: names are compared in lower case" => "AAPL quote is $93.42 per share",
        answered("/STOCK=aapl");
    "C9.space" c09_space_for_equals: "`/stock aapl`: a space does for `=`" => "AAPL quote is $93.42 per share",
        answered("/stock aapl");
    "C9.before" c09_space_before: "` /stock=aapl`: the slash does not come first" => "stored as text", stored(" /stock=aapl", " /stock=aapl");
    "C9.around" c09_spaces_around_equals: "`/stock = aapl`: two arguments" => "error invalid_command", refused(&["/stock = aapl"]);
    "C10" c10_unknown: "`/unknown`, `/stok=aapl`" => "error unknown_command", refused(&["/unknown", "/stok=aapl"]);
    "C10.name" c10_no_name: "`/`, `/=x`, `/ stock`, `/stöck`" => "error invalid_command",
        refused(&["/", "/=x", "/ stock", "/st\u{f6}ck"]);
    "C11" c11_two_slashes: "`//stock=aapl`: a literal text" => "stored as text", stored("//stock=aapl", "/stock=aapl");
    "C12" c12_code_block: "a command in a code block" => "stored as text",
        stored("```\n/stock=aapl\n```", "```\n/stock=aapl\n```");
    "C14" c14_100_at_once: "100 commands at once" => "some accepted, the rest error rate_limited", many;
    "C15" c15_control_characters: "NUL, ESC, a line break, U+2028 in a command" => "error invalid_command",
        refused(&["/stock=aapl\0", "/stock=\u{1b}[2J", "/stock=aapl\nx", "/stock=aapl\r\n", "/stock=aapl\u{2028}x"]);
    "C15.second" c15_second_line: "a second command on the second line" => "error invalid_command",
        refused(&["/stock=aapl\n/stock=msft"]);
    "C16" c16_many_arguments: "17 arguments, a quote that is not closed, an argument of 1,001 bytes" => "error invalid_command",
        async |case| {
            let long = format!("/stock {}", "x".repeat(1_001));
            refused(&["/stock 1 2 3 4 5 6 7 8 9 a b c d e f g h", "/stock=\"aapl", &long])(case).await
        };
    "C17" c17_command_again: "a command twice under one key" => "accepted; accepted, one reply", again;
    "C18" c18_command_to_nobody: "a command as the first message to a user: there is no room yet" => "error not_found", to_somebody;
}

proven_in! { ELSEWHERE;
    "C12.bot" "a command in the text of a bot" => "stored as text, not carried out",
        "chat-core/tests/commands.rs", "escaped_texts_and_texts_of_bots_set_nothing_off";
}

fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

/// Types each of these. Nobody may have been asked for anything.
fn refused(typed: &[&str]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let before = case.upstream.asked();
        let answer = says_each(typed)(case).await;
        let after = case.upstream.asked();
        if after == before { answer } else { format!("{answer}, and somebody was asked: {:?}", after.last()) }
    }
}

/// Types a command and returns the one reply.
fn answered(typed: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| case.command(typed).await
}

/// Types what is no command, and compares what others hear.
fn stored(typed: &str, heard: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let before = case.upstream.asked();
        let mut raw = case.followed().await;
        raw.say(&case.fill(&send(&text(typed)))).await;
        let entry = raw.hear_entry().await;
        case.stores(1);
        let is_text = entry["body"] == text(heard) && entry["author"] == *case.user;
        if is_text && case.upstream.asked() == before { "stored as text".into() } else { entry.to_string() }
    }
}

async fn many(case: &mut Case) -> String {
    case.takes(Duration::from_millis(300)); // twenty requests over HTTP
    let mut raw = case.followed().await;
    let typed = send(&text("/stock=aapl"));
    let bytes: Vec<u8> = (0..100).flat_map(|_| frame(TEXT, case.fill(&typed).as_bytes())).collect();
    raw.send(&bytes).await;
    let (mut accepted, mut refused) = (0, 0);
    while accepted + refused < 100 {
        match raw.hear().await {
            Ok(answer) if answer["type"] == "accepted" => accepted += 1,
            Ok(answer) if answer["name"] == "rate_limited" || answer["name"] == "behind" => refused += 1,
            Ok(answer) if answer["type"] == "error" => return answer.to_string(),
            Ok(_) => {}
            Err(end) => return end,
        }
    }
    case.stores(accepted);
    let some = if (1..=30).contains(&accepted) { "some".into() } else { accepted.to_string() };
    format!("{some} accepted, the rest error rate_limited")
}

async fn again(case: &mut Case) -> String {
    let mut raw = case.followed().await;
    let key = key();
    let typed = send(&text("/stock=aapl")).replace("KEY", &key);
    let answers = [case.answer(&mut raw, &typed).await, case.answer(&mut raw, &typed).await];
    case.stores(1);
    format!("{}, one reply", answers.join("; "))
}

async fn to_somebody(case: &mut Case) -> String {
    let mut raw = case.greeted().await;
    let typed = send(&text("/stock=aapl")).replace(r#""room":"ROOM""#, r#""to":"nobody""#);
    case.answer(&mut raw, &typed).await
}
