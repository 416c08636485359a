//! The state, how it looks, and both against a real server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod server;
mod state;

use std::time::Instant;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};

use crate::{
    state::{State, Wish},
    ui,
};

fn press(state: &mut State, code: KeyCode) -> Vec<Wish> {
    state.key(KeyEvent::new(code, KeyModifiers::NONE), Instant::now())
}

/// Types a line and Enter. Returns what is wanted for it.
fn enter(state: &mut State, line: &str) -> Vec<Wish> {
    for c in line.chars() {
        press(state, KeyCode::Char(c));
    }
    press(state, KeyCode::Enter)
}

/// Returns what a terminal of 80 by 12 shows.
fn screen(state: &State) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 12)).unwrap();
    terminal.draw(|frame| ui::draw(frame, state)).unwrap();
    terminal.backend().to_string()
}
