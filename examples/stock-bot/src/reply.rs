//! Reads the one row of a CSV reply, and refuses whatever a lenient reader would guess at.

use std::str;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::refusal::Fault;

/// The widest reply that is read; quote services send eight to twenty columns.
const COLUMNS_MAX: usize = 64;

/// The two fields of a reply that make a quote, without surrounding blanks.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) symbol: String,
    pub(crate) close: String,
}

impl Row {
    /// Reads a header line and exactly one row: one code was asked for, so a second row answers something else.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Fault> {
        let text = str::from_utf8(body).map_err(Fault::Encoding)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(Fault::Empty);
        }
        if !is_strict(text) {
            return Err(Fault::Malformed);
        }
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
        let header = reader.headers()?.clone();
        if header.len() > COLUMNS_MAX {
            return Err(Fault::TooWide(COLUMNS_MAX));
        }
        let column = |name| column(&header, name).map_err(|fault| notice(text).unwrap_or(fault));
        let (symbol, close) = (column("Symbol")?, column("Close")?);

        let mut rows = reader.records();
        let row = rows.next().ok_or(Fault::NoRow)??;
        if rows.next().is_some() {
            return Err(Fault::Rows);
        }
        let field = |index| row.get(index).unwrap_or_default().to_owned();
        Ok(Self { symbol: field(symbol), close: field(close) })
    }
}

/// Finds the only column of that name: with two of them, either could be meant.
fn column(header: &StringRecord, name: &'static str) -> Result<usize, Fault> {
    let is_named = |(_, field): &(usize, &str)| field.eq_ignore_ascii_case(name);
    let mut found = header.iter().enumerate().filter(is_named);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        _ => Err(Fault::Column(name)),
    }
}

/// Recognises the two notices that stooq sends as plain text with status 200, where others use 429 and 401.
/// There is no code to go by, so the words have to do; at worst the refusal has a less fitting reason.
fn notice(text: &str) -> Option<Fault> {
    let text = text.to_ascii_lowercase();
    if text.contains("hits limit") {
        Some(Fault::LimitText)
    } else if text.contains("apikey") {
        Some(Fault::KeyText)
    } else {
        None
    }
}

/// Tells whether quotes stand only around whole fields and are closed, and whether CR comes only before LF.
///
/// The CSV reader repairs what breaks these rules: it reads `"93.4"2` as `93.42`, a field that is never closed
/// as one that ends with the reply, and a lone CR as a line end. A price must not be the result of a repair.
fn is_strict(text: &str) -> bool {
    let mut place = Place::Start;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' && bytes.peek() != Some(&b'\n') {
            return false;
        }
        place = match (place, byte) {
            (Place::Quoted, b'"') | (Place::Closed, b'\r') => Place::Closed,
            (Place::Quoted, _) | (Place::Start | Place::Closed, b'"') => Place::Quoted,
            (_, b',' | b'\n') => Place::Start,
            (Place::Closed, _) | (Place::Bare, b'"') => return false,
            (Place::Start | Place::Bare, _) => Place::Bare,
        };
    }
    place != Place::Quoted
}

/// Where in a field a byte stands. `Closed` is after a quote that ends the field, or is the first of a doubled one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Bare,
    Quoted,
    Closed,
}
