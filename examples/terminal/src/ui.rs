//! How it looks.

use chat_core::UserId;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Stylize},
    text::{Line, Span},
    widgets::{Block, Borders, List, ListItem, ListState, Paragraph},
};

use crate::state::{RoomView, State};

const ROOMS_COLUMNS: u16 = 22;

pub(crate) fn draw(frame: &mut Frame<'_>, state: &State) {
    let [left, right] =
        Layout::horizontal([Constraint::Length(ROOMS_COLUMNS), Constraint::Min(20)]).areas(frame.area());
    let [messages, input, status] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(3), Constraint::Length(1)]).areas(right);
    rooms(frame, left, state);
    timeline(frame, messages, state);

    // The end of a line that is too long is what is being typed.
    let width = usize::from(input.width.saturating_sub(3));
    let skipped = state.input.chars().count().saturating_sub(width);
    let typed: String = state.input.chars().skip(skipped).collect();
    let column = input.x + 1 + u16::try_from(Span::raw(&typed).width()).unwrap_or(0);
    frame.set_cursor_position((column.min(input.right().saturating_sub(2)), input.y + 1));
    frame.render_widget(Paragraph::new(typed).block(Block::bordered()), input);
    frame.render_widget(Line::from(vec![connection(state), Span::raw(" "), Span::raw(&state.notice)]), status);
}

fn rooms(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let items = state.rooms.iter().map(|room| match room.unread {
        0 => ListItem::new(room.title.as_str()),
        unread => ListItem::new(format!("{} ({unread})", room.title)).bold(),
    });
    let list = List::new(items)
        .block(Block::new().borders(Borders::RIGHT).title(format!(" {} ", state.me)))
        .highlight_style(Modifier::REVERSED);
    let mut selected = ListState::default().with_selected((!state.rooms.is_empty()).then_some(state.selected));
    frame.render_stateful_widget(list, area, &mut selected);
}

fn timeline(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(room) = state.room() else {
        return frame.render_widget(Paragraph::new("No room yet. :join TITLE enters a public one.").dim(), area);
    };
    let block = Block::new().borders(Borders::BOTTOM).title(format!(" {} ", room.title)).title_bottom(typing(room));
    let inside = block.inner(area);
    let lines = lines(room, &state.me, usize::from(inside.width));
    let shown = usize::from(inside.height);
    let end = lines.len().saturating_sub(state.scrolled).max(shown.min(lines.len()));
    let lines = lines[end.saturating_sub(shown)..end].to_vec();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Returns who is typing, in words.
fn typing(room: &RoomView) -> String {
    let names: Vec<&str> = room.typing.keys().map(String::as_str).collect();
    match names.len() {
        0 => String::new(),
        1 => format!(" {} is typing… ", names[0]),
        _ => format!(" {} are typing… ", names.join(", ")),
    }
}

/// Returns all messages, and then what is not sent yet, cut to the width.
fn lines(room: &RoomView, me: &UserId, width: usize) -> Vec<Line<'static>> {
    let sent = room.messages.values().flat_map(|message| {
        let name = Span::raw(format!("{}: ", message.name)).bold();
        let name = if message.author == *me { name.green() } else { name.cyan() };
        wrap(name, &message.text, width)
    });
    let unsent = room.unsent.iter().flat_map(|draft| {
        let mark = Span::raw("… ").dim();
        wrap(mark, draft.body.text().unwrap_or_default(), width).into_iter().map(Line::dim)
    });
    sent.chain(unsent).collect()
}

/// Cuts a text where the screen ends; the first line begins with `head`.
fn wrap(head: Span<'static>, text: &str, width: usize) -> Vec<Line<'static>> {
    let mut left = width.saturating_sub(head.width());
    let (mut lines, mut line, mut part) = (Vec::new(), Line::from(head), String::new());
    for c in text.chars() {
        let needed = Span::raw(c.to_string()).width();
        if needed > left {
            line.push_span(std::mem::take(&mut part));
            lines.push(std::mem::take(&mut line));
            left = width;
        }
        left = left.saturating_sub(needed);
        part.push(c);
    }
    line.push_span(part);
    lines.push(line);
    lines
}

fn connection(state: &State) -> Span<'static> {
    if state.online { Span::raw("● online").green() } else { Span::raw("○ connecting…").yellow() }
}
