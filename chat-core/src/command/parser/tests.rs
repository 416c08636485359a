//! The slash-command cases C1 to C15, as far as they are the parser's, and properties of any text.

use proptest::prelude::*;

use super::*;

fn command<'a>(name: &'a str, args: &[&'a str]) -> Parsed<'a> {
    flagged(name, args, &[])
}

fn flagged<'a>(name: &'a str, args: &[&'a str], flags: &[(&'a str, Option<&'a str>)]) -> Parsed<'a> {
    Parsed::Command(Line {
        name: name.into(),
        args: args.iter().map(|arg| (*arg).into()).collect(),
        flags: flags.iter().map(|(name, value)| ((*name).into(), value.map(Into::into))).collect(),
    })
}

fn invalid(error: ParseError) -> Parsed<'static> {
    Parsed::Invalid(error)
}

#[test]
fn c1_nothing_after_the_equals_sign_is_an_error() {
    assert_eq!(parse("/stock="), invalid(ParseError::Value));
    assert_eq!(parse("/stock= aapl"), invalid(ParseError::Value));
    assert_eq!(parse("/stock a --days="), invalid(ParseError::Value));
    assert_eq!(parse("/stock=\"\""), command("stock", &[""]), "an empty value is possible, but must be meant");
}

#[test]
fn c2_to_c7_arguments_reach_the_command_as_they_were_typed() {
    for code in
        ["AAPL.US&f=x", "../../etc", "http://127.0.0.1/", "@169.254.169.254", "\u{430}apl", "a%0d%0aHost:x", "a=b"]
    {
        assert_eq!(parse(&format!("/stock={code}")), command("stock", &[code]));
        assert_eq!(parse(&format!("/stock {code}")), command("stock", &[code]));
    }
}

#[test]
fn c8_a_name_has_1_to_32_of_a_few_characters() {
    let longest = "x".repeat(32);
    assert_eq!(parse(&format!("/{longest}")), command(&longest, &[]));
    assert_eq!(parse(&format!("/{longest}x")), invalid(ParseError::Name));
    for text in ["/", "/ stock", "/=x", "/st.ock", "/etc/hosts", "/\u{430}", "/stock\"a\"", "/\"stock\""] {
        assert_eq!(parse(text), invalid(ParseError::Name), "{text}");
    }
}

#[test]
fn c9_names_ignore_case_and_the_equals_sign_counts_directly_after_a_name() {
    assert_eq!(parse("/STOCK=aapl"), command("stock", &["aapl"]));
    assert_eq!(parse("/stock aapl"), command("stock", &["aapl"]));
    assert_eq!(parse("/stock = aapl"), command("stock", &["=", "aapl"]));
    assert_eq!(parse("/stock =aapl"), command("stock", &["=aapl"]));
    assert_eq!(parse(" /stock=aapl"), Parsed::Text(" /stock=aapl"));
}

#[test]
fn c10_a_name_nobody_knows_is_still_read_as_a_command() {
    assert_eq!(parse("/unknown"), command("unknown", &[]));
}

#[test]
fn c11_two_slashes_begin_a_text_with_one() {
    assert_eq!(parse("//stock=aapl"), Parsed::Text("/stock=aapl"));
    assert_eq!(parse("///"), Parsed::Text("//"));
    assert_eq!(parse("//two\nlines"), Parsed::Text("/two\nlines"));
}

#[test]
fn c12_a_command_inside_other_text_is_text() {
    for text in ["```\n/stock=aapl\n```", "`/stock=aapl`", "see /stock=aapl", ""] {
        assert_eq!(parse(text), Parsed::Text(text));
    }
}

#[test]
fn c15_control_characters_and_second_lines_are_errors() {
    for between in ["\0", "\n", "\r\n", "\t", "\u{7f}", "\u{85}", "\u{2028}", "\u{2029}"] {
        assert_eq!(parse(&format!("/stock=aapl{between}/stock=msft")), invalid(ParseError::Control));
        assert_eq!(parse(&format!("/stock \"a{between}b\"")), invalid(ParseError::Control));
    }
    assert_eq!(parse("hello\n/stock=aapl"), Parsed::Text("hello\n/stock=aapl"));
}

#[test]
fn quotes_hold_spaces_and_escape_two_characters() {
    assert_eq!(parse(r#"/poll "lunch at one?" yes"#), command("poll", &["lunch at one?", "yes"]));
    assert_eq!(parse(r#"/poll="lunch at one?" yes"#), command("poll", &["lunch at one?", "yes"]));
    assert_eq!(parse(r#"/say "a \"b\" \\ C:\temp\ä""#), command("say", &[r#"a "b" \ C:\temp\ä"#]));
    assert_eq!(parse(r#"/say 6" it's \n"#), command("say", &["6\"", "it's", r"\n"]), "quotes count at the start only");
    for open in [r#"/say "a"#, r#"/say ""#, r#"/say "a\""#, r#"/say "a\"#, r#"/say --x="a"#] {
        assert_eq!(parse(open), invalid(ParseError::Quote), "{open}");
    }
    assert_eq!(parse(r#"/say "a"b"#), invalid(ParseError::AfterQuote));
}

#[test]
fn flags_stand_anywhere_and_are_told_from_quoted_arguments() {
    let expected = flagged("poll", &["lunch?", "--no"], &[("days", Some("2 or 3")), ("secret", None)]);
    assert_eq!(parse(r#"/poll --days="2 or 3" lunch? --SECRET "--no""#), expected);
    assert_eq!(parse("/me -- - -x"), command("me", &["--", "-", "-x"]));
    for text in ["/x --=1", "/x --a.b", "/x --\u{e4}", "/x --a\"b\""] {
        assert_eq!(parse(text), invalid(ParseError::Flag), "{text}");
    }
}

#[test]
fn arguments_are_bounded_in_number_and_length() {
    let args = |count| " a".repeat(count);
    assert!(matches!(parse(&format!("/x{}", args(16))), Parsed::Command(line) if line.args.len() == 16));
    assert_eq!(parse(&format!("/x{}", args(17))), invalid(ParseError::TooMany));
    assert_eq!(parse(&format!("/x=a{} --f", args(15))), invalid(ParseError::TooMany));
    let long = "é".repeat(500);
    assert_eq!(parse(&format!("/x={long}")), command("x", &[&long]));
    for text in [format!("/x={long}e"), format!("/x \"{long}e\""), format!("/x --f={long}e")] {
        assert_eq!(parse(&text), invalid(ParseError::TooLong));
    }
}

#[test]
fn what_needs_no_change_is_borrowed() {
    let Parsed::Command(line) = parse(r#"/stock aapl "two words" --flag=value"#) else { panic!("a command") };
    let words =
        line.args.iter().chain(line.flags.iter().flat_map(|(name, value)| [Some(name), value.as_ref()]).flatten());
    assert!(words.chain([&line.name]).all(|word| matches!(word, Cow::Borrowed(_))));
}

/// Any text without what no command can hold, as an argument.
fn argument() -> impl Strategy<Value = String> {
    r#"[^\p{C}\u{2028}\u{2029}]{0,20}|[-"= \\a]{0,8}"#
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(text in "/?/?\\PC*|/[a-z]{1,3}[ =\"\\\\a/\\-]*|.*") {
        match parse(&text) {
            Parsed::Text(read) => prop_assert!(text.ends_with(read) && text.len() - read.len() <= 1),
            Parsed::Command(_) | Parsed::Invalid(_) => prop_assert!(text.starts_with('/')),
        }
    }

    #[test]
    fn a_second_slash_escapes_the_first_before_any_text(text in "(?s).*") {
        let (escaped, plain) = (format!("//{text}"), format!("/{text}"));
        prop_assert_eq!(parse(&escaped), Parsed::Text(&plain));
    }

    #[test]
    fn a_line_reads_as_the_command_it_shows(
        name in "[a-z0-9_-]{1,32}",
        args in prop::collection::vec(argument(), 0..8),
        flags in prop::collection::vec(("[a-z0-9_-]{1,32}", prop::option::of(argument())), 0..8),
    ) {
        let line = Line {
            name: name.into(),
            args: args.into_iter().map(Cow::Owned).collect(),
            flags: flags.into_iter().map(|(name, value)| (name.into(), value.map(Cow::Owned))).collect(),
        };
        let shown = line.to_string();
        prop_assert_eq!(parse(&shown), Parsed::Command(line));
    }
}
