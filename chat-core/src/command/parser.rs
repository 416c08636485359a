//! Reads slash commands: pure, and borrowing from the text wherever it can.
//!
//! | typed | is |
//! |---|---|
//! | `/roll` | the command `roll` |
//! | `/stock=aapl`, `/STOCK=aapl` | `stock` with the argument `aapl`: names are compared in lower case |
//! | `/stock aapl` | the same: what follows `=` is the first argument, and so is what follows a space |
//! | `/stock = aapl` | `stock` with the arguments `=` and `aapl`: `=` means something only directly after a name |
//! | `/stock=` | an error: directly after `=` stands a value |
//! | `/poll "lunch at one?" yes no --days=2 --secret` | arguments and flags, in any order |
//! | `"say \"hi\""` | quotes hold spaces; inside them `\"` is a quote and `\\` a backslash |
//! | `"--days"` | an argument: what begins with a quote is never a flag, and neither is `--` alone |
//! | `//text` | the text `/text` |
//! | ` /text` | text: the slash does not come first |
//!
//! A command is one line: control characters and line breaks are errors, also inside quotes.

use std::{borrow::Cow, fmt};

/// The longest name, of a command or of a flag.
const NAME_MAX: usize = 32;
/// Arguments and flags of one command: more than anybody types.
const ARGS_MAX: usize = 16;
/// The longest argument or value of a flag, in bytes: a paragraph.
const ARG_BYTES_MAX: usize = 1_000;

/// Is what a person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parsed<'a> {
    /// A text to post, without the slash that escaped another.
    Text(&'a str),
    /// A command.
    Command(Line<'a>),
    /// Meant as a command, but unreadable: to be answered to who typed it, and to nobody else.
    Invalid(ParseError),
}

/// Is a command as it was typed. Displays as a line that reads as the same command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line<'a> {
    /// The command's name, in lower case.
    pub name: Cow<'a, str>,
    /// The arguments, in order.
    pub args: Vec<Cow<'a, str>>,
    /// The flags, in order, with their names in lower case.
    pub flags: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
}

/// Says why a command cannot be read, in the words of who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The name is empty, too long, or holds something else than `a-z 0-9 _ -`.
    #[error("the name of a command is 1 to 32 of a-z 0-9 _ -; to begin a text with a slash, type two")]
    Name,
    /// A control character or a line break.
    #[error("a command is a single line without control characters")]
    Control,
    /// Nothing directly after `=`.
    #[error("directly after = there must be a value")]
    Value,
    /// A quote without its end.
    #[error("a quote is not closed")]
    Quote,
    /// Something else than a space after a quote.
    #[error("after a closing quote there must be a space")]
    AfterQuote,
    /// The name of a flag is too long or holds something else than `a-z 0-9 _ -`.
    #[error("a flag is -- and 1 to 32 of a-z 0-9 _ -")]
    Flag,
    /// Too many arguments.
    #[error("a command takes at most 16 arguments")]
    TooMany,
    /// An argument is too long.
    #[error("an argument holds at most 1,000 bytes")]
    TooLong,
}

/// Reads what a person typed. Any text gives an answer.
///
/// ```
/// use chat_core::command::{Parsed, parse};
/// let Parsed::Command(line) = parse("/stock=aapl") else { panic!("this is a command") };
/// assert_eq!((&*line.name, &*line.args), ("stock", &["aapl".into()][..]));
/// assert_eq!(parse("//stock=aapl"), Parsed::Text("/stock=aapl"));
/// ```
pub fn parse(text: &str) -> Parsed<'_> {
    match text.strip_prefix('/') {
        None => Parsed::Text(text),
        Some(literal) if literal.starts_with('/') => Parsed::Text(literal),
        Some(command) => Line::read(command).map_or_else(Parsed::Invalid, Parsed::Command),
    }
}

/// Tells whether a text is a name as commands and flags have it, in lower case.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Result<Self, ParseError> {
        // U+2028 and U+2029 break lines and are no control characters.
        if text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(ParseError::Control);
        }
        let (name, mut rest) = name(text, ParseError::Name)?;
        let mut line = Self { name, args: Vec::new(), flags: Vec::new() };
        if let Some(value) = rest.strip_prefix('=') {
            let (arg, after) = word(value)?;
            line.args.push(arg);
            rest = after;
        }
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Ok(line);
            }
            if line.args.len() + line.flags.len() == ARGS_MAX {
                return Err(ParseError::TooMany);
            }
            rest = line.push(rest)?;
        }
    }

    /// Reads one argument or flag and returns what follows it.
    fn push(&mut self, text: &'a str) -> Result<&'a str, ParseError> {
        let flag = text.strip_prefix("--").filter(|flag| !flag.is_empty() && !flag.starts_with(char::is_whitespace));
        let Some(flag) = flag else {
            let (arg, rest) = word(text)?;
            self.args.push(arg);
            return Ok(rest);
        };
        let (name, rest) = name(flag, ParseError::Flag)?;
        let (value, rest) = match rest.strip_prefix('=') {
            Some(value) => word(value).map(|(value, rest)| (Some(value), rest))?,
            None => (None, rest),
        };
        self.flags.push((name, value));
        Ok(rest)
    }
}

/// Reads a name that ends with the text, at a space or at `=`.
fn name(text: &str, error: ParseError) -> Result<(Cow<'_, str>, &str), ParseError> {
    let end = text.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let is_lower = !name.bytes().any(|c| c.is_ascii_uppercase());
    let lower = if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) };
    if is_name(&lower) { Ok((lower, rest)) } else { Err(error) }
}

/// Reads a word, quoted or bare, and returns what follows it.
fn word(text: &str) -> Result<(Cow<'_, str>, &str), ParseError> {
    let (word, rest) = text.strip_prefix('"').map_or_else(|| bare(text), unquote)?;
    if word.len() > ARG_BYTES_MAX { Err(ParseError::TooLong) } else { Ok((word, rest)) }
}

/// Reads up to the next space.
fn bare(text: &str) -> Result<(Cow<'_, str>, &str), ParseError> {
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    if word.is_empty() { Err(ParseError::Value) } else { Ok((word.into(), rest)) }
}

/// Reads up to the closing quote, and copies only if something is escaped.
fn unquote(text: &str) -> Result<(Cow<'_, str>, &str), ParseError> {
    let mut plain = String::new();
    let mut rest = text;
    loop {
        let end = rest.find(['"', '\\']).ok_or(ParseError::Quote)?;
        let (before, special) = rest.split_at(end);
        if let Some(after) = special.strip_prefix('"') {
            if !after.is_empty() && !after.starts_with(char::is_whitespace) {
                return Err(ParseError::AfterQuote);
            }
            let word = if rest.len() == text.len() { before.into() } else { (plain + before).into() };
            return Ok((word, after));
        }
        // Before anything but a quote or itself, a backslash is a backslash, as in "C:\temp".
        let escaped = special.get(1..2).filter(|next| matches!(*next, "\"" | "\\"));
        plain = plain + before + escaped.unwrap_or("\\");
        rest = &special[1 + escaped.map_or(0, str::len)..];
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.name)?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", Quoted(arg)))?;
        self.flags.iter().try_for_each(|(name, value)| match value {
            Some(value) => write!(f, " --{name}={}", Quoted(value)),
            None => write!(f, " --{name}"),
        })
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = *self;
        let bare = !text.is_empty() && !text.starts_with('"') && !text.starts_with("--");
        if bare && !text.contains(char::is_whitespace) {
            return f.write_str(text);
        }
        write!(f, "\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests;
