//! Security cases against the real process. Each name ends with its number in the table of `docs/attack-catalogue.md`.

mod leaks;
mod pages;
mod passwords;
mod secrets;
mod sessions;
mod supply;
