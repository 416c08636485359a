//! The commands an engine knows.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{Command, parser::is_name};
use crate::model::{Identity, UserId};

/// Knows each command by its name.
#[derive(Default)]
pub struct Registry {
    commands: BTreeMap<String, Registered>,
}

/// Is a command with what belongs to it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Registered {
    /// One line for people, such as `/roll [sides]: throws a die`.
    pub help: Arc<str>,
    /// Who posts its replies: the bot `bot:name`, shown under the command's name.
    pub bot: Identity,
    /// What carries it out.
    pub command: Arc<dyn Command>,
}

/// Says that a command's name is not 1 to 32 of `a-z 0-9 _ -`, or is given twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command name {0:?} is not allowed or given twice")]
pub struct NameRefused(pub String);

impl Registry {
    /// Adds a command.
    pub fn add(&mut self, name: &str, help: &str, command: Arc<dyn Command>) -> Result<(), NameRefused> {
        let refused = || NameRefused(name.to_owned());
        if !is_name(name) || self.commands.contains_key(name) {
            return Err(refused());
        }
        let bot = Identity::bot(UserId::bot(name).map_err(|_| refused())?, name);
        self.commands.insert(name.to_owned(), Registered { help: help.into(), bot, command });
        Ok(())
    }

    /// Returns the command of this name, in lower case as the parser gives it.
    pub fn find(&self, name: &str) -> Option<&Registered> {
        self.commands.get(name)
    }

    /// Returns the name that was probably meant: at most a third of its letters wrong, swapped, missing or too many.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let wrong = |known: &str| strsim::osa_distance(known, name);
        let near = self.commands.keys().map(|known| (wrong(known), known.as_str()));
        near.filter(|(wrong, known)| *wrong <= (known.len() / 3).max(1)).min().map(|(_, known)| known)
    }

    /// Lists the commands by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Registered)> {
        self.commands.iter().map(|(name, command)| (name.as_str(), command))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("help", &self.help).field("bot", &self.bot.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::command::{Invocation, Reply};

    fn registry(names: &[&str]) -> Registry {
        let mut registry = Registry::default();
        for name in names {
            registry.add(name, "does nothing", Arc::new(|_: Invocation| async { Ok(Reply::Nothing) })).unwrap();
        }
        registry
    }

    #[test]
    fn a_command_speaks_as_a_bot_of_its_name() {
        let registry = registry(&["stock"]);
        let stock = registry.find("stock").unwrap();
        assert_eq!((stock.bot.user.as_str(), &*stock.bot.name), ("bot:stock", "stock"));
        assert!(registry.find("roll").is_none());
    }

    #[test]
    fn a_name_is_taken_once_and_only_as_people_can_type_it() {
        let mut registry = registry(&["stock"]);
        for name in ["stock", "", "Stock", "a b", "a=b", &"x".repeat(33)] {
            let refused = registry.add(name, "", Arc::new(|_: Invocation| async { Ok(Reply::Nothing) }));
            assert_eq!(refused, Err(NameRefused(name.to_owned())));
        }
    }

    #[test]
    fn a_typo_finds_the_name_that_was_meant() {
        let registry = registry(&["help", "roll", "stock", "weather"]);
        for (typo, meant) in
            [("stok", "stock"), ("sotck", "stock"), ("wether", "weather"), ("halp", "help"), ("rol", "roll")]
        {
            assert_eq!(registry.nearest(typo), Some(meant), "{typo}");
        }
        for other in ["quote", "s", "", "etc", "rollback"] {
            assert_eq!(registry.nearest(other), None, "{other}");
        }
    }
}
