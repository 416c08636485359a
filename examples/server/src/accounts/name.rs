//! The names people register under: one spelling each, and none that looks like another.

use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// The longest user name, in characters after folding; together with four bytes each it fits a user id.
const CHARS_MAX: usize = 32;
const SHOWN_CHARS_MAX: usize = 64;

/// Says what is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error(
        "a user name has 1 to 32 letters, digits, dots, dashes or underscores, and begins and ends with a letter or digit"
    )]
    Form,
    #[error("this name is kept for the chat itself")]
    Reserved,
    #[error("a display name has 1 to 64 visible characters")]
    Shown,
}

/// Is the name somebody logs in with.
///
/// `Ann`, `ann` and full-width `Ａｎｎ` are one user: the id is compatibility-normalised and case-folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserName {
    id: String,
    look: String,
}

impl UserName {
    /// Reads what somebody typed.
    pub(crate) fn parse(typed: &str) -> Result<Self, NameError> {
        // Folding can make a text a few times longer; nothing near this length is a name.
        if typed.len() > 1_024 {
            return Err(NameError::Form);
        }
        let id = fold(typed);
        if is_reserved(&id) {
            return Err(NameError::Reserved);
        }
        if has_form(&id) { Ok(Self { look: look(&id), id }) } else { Err(NameError::Form) }
    }

    /// Returns the user id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns what the name looks like: equal for names that a reader would take for one another, such as those
    /// with a Latin and with a Cyrillic `a`.
    pub(crate) fn look(&self) -> &str {
        &self.look
    }
}

/// Is the name others see. Several people may have the same one, but it is not another's user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownName {
    text: String,
    look: String,
}

impl ShownName {
    /// Reads what somebody typed.
    pub(crate) fn parse(typed: &str) -> Result<Self, NameError> {
        let text: String = typed.trim().nfc().collect();
        let visible = !text.chars().any(|c| c.is_control() || steers_direction(c));
        if text.is_empty() || text.chars().count() > SHOWN_CHARS_MAX || !visible {
            return Err(NameError::Shown);
        }
        let folded = fold(&text);
        if is_reserved(&folded) { Err(NameError::Reserved) } else { Ok(Self { text, look: look(&folded) }) }
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns what it looks like.
    pub(crate) fn look(&self) -> &str {
        &self.look
    }
}

/// Upper case first, so that letters with two lower-case forms (`ß` and `ss`, `σ` and `ς`) become one.
fn fold(text: &str) -> String {
    let upper = text.nfkc().collect::<String>().to_uppercase();
    upper.to_lowercase().nfkc().collect()
}

fn look(folded: &str) -> String {
    skeleton(folded).collect()
}

fn has_form(id: &str) -> bool {
    let outer = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    id.chars().count() <= CHARS_MAX
        && id.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c))
        && outer(id.chars().next())
        && outer(id.chars().next_back())
}

/// The engine posts as `system`, bots as `bot:NAME`.
fn is_reserved(folded: &str) -> bool {
    let look = look(folded.trim());
    look == skeleton("system").collect::<String>() || look.starts_with("bot:")
}

/// Marks that reorder or hide the text around them; joiners stay, since emoji and some scripts need them.
fn steers_direction(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(typed: &str) -> String {
        UserName::parse(typed).unwrap().id().to_owned()
    }

    #[test]
    fn twins_by_case_width_and_composition_are_one_user() {
        for typed in ["ann", "ANN", "Ａｎｎ", "aNN"] {
            assert_eq!(id(typed), "ann");
        }
        assert_eq!(id("Jose\u{301}"), id("JOSÉ"));
        assert_eq!(id("Straße"), id("STRASSE"));
    }

    #[test]
    fn homoglyphs_look_the_same_and_are_not_the_same() {
        let (latin, cyrillic) = (UserName::parse("anna").unwrap(), UserName::parse("\u{430}nna").unwrap());
        assert_ne!(latin.id(), cyrillic.id());
        assert_eq!(latin.look(), cyrillic.look());
        assert_ne!(latin.look(), UserName::parse("hanna").unwrap().look());
    }

    #[test]
    fn names_with_trimmings_are_refused() {
        let long = "a".repeat(33);
        for typed in
            ["", " ", "admin ", " admin", "admin.", ".admin", "a b", "a\u{202e}b", "a\u{200b}b", "a/b", "a:b", &long]
        {
            assert_eq!(UserName::parse(typed), Err(NameError::Form), "{typed:?}");
        }
        assert!(UserName::parse(&"a".repeat(32)).is_ok());
        assert_eq!(UserName::parse(&"\u{fdfa}".repeat(32)), Err(NameError::Form), "32 characters that fold to 576");
    }

    #[test]
    fn nobody_registers_as_the_engine_or_a_bot() {
        for typed in ["system", "SYSTEM", "\u{455}ystem", "bot:stock", "Bot:x", "b\u{43e}t:stock", " system"] {
            assert_eq!(UserName::parse(typed), Err(NameError::Reserved), "{typed:?}");
            assert_eq!(ShownName::parse(typed), Err(NameError::Reserved), "{typed:?}");
        }
        assert!(UserName::parse("bottle").is_ok());
    }

    #[test]
    fn a_display_name_is_free_but_visible() {
        assert_eq!(ShownName::parse("  Ann O'Neill 👩\u{200d}🚀 ").unwrap().as_str(), "Ann O'Neill 👩\u{200d}🚀");
        for typed in ["", "   ", "a\nb", "a\u{202e}b", &"x".repeat(65)] {
            assert_eq!(ShownName::parse(typed), Err(NameError::Shown), "{typed:?}");
        }
    }
}
