//! The state of the view: figures, what is chosen of them, and what the keys do.

use std::time::Duration;

use base_kit::Moment;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::client::NoAnswer;
use super::figures::{Figures, History};
use super::reading::Reading;
use super::table::{Choice, Row, Sort};
use crate::terminal::{Wish, is_interrupt};

/// A filter that is longer finds nothing anyway.
const MAX_FILTER: usize = 60;

/// All that is drawn.
pub(super) struct Board {
    /// Who is asked.
    pub(super) target: String,
    pub(super) figures: Figures,
    /// Since when and why there are no newer figures.
    pub(super) lost: Option<Lost>,
    pub(super) choice: Choice,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// Whether keys go into the filter.
    pub(super) is_typing: bool,
    /// Lines that the table had room for when it was last drawn.
    pub(super) page: usize,
    /// The line that is marked, by pool and endpoint: it stays marked when the order changes.
    marked: Option<(String, Option<String>)>,
    history: History,
}

/// A connection that is lost.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    since: Moment,
    pub(super) why: String,
}

impl Lost {
    pub(super) fn lasts(&self, now: Moment) -> Duration {
        now.since(self.since)
    }
}

impl Board {
    pub(super) fn new(target: String) -> Self {
        Self {
            target,
            figures: Figures::default(),
            lost: None,
            choice: Choice::default(),
            is_paused: false,
            shows_help: false,
            is_typing: false,
            page: 1,
            marked: None,
            history: History::default(),
        }
    }

    /// Takes in what was answered, or that nothing was: then the last figures stay.
    pub(super) fn take(&mut self, answer: Result<Reading, NoAnswer>, now: Moment) {
        match answer {
            Ok(reading) => {
                self.lost = None;
                self.history.add(reading);
                if !self.is_paused {
                    self.figures = self.history.figures();
                }
            }
            Err(NoAnswer(why)) => {
                let since = self.lost.as_ref().map_or(now, |lost| lost.since);
                self.lost = Some(Lost { since, why });
            }
        }
    }

    /// The lines of the table.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        self.choice.rows(&self.figures)
    }

    /// The place of the marked line among these.
    pub(super) fn marked_place(&self, rows: &[Row<'_>]) -> usize {
        let is_marked = |row: &Row<'_>| {
            self.marked.as_ref().is_some_and(|(pool, endpoint)| {
                row.pool.name == *pool && row.endpoint.map(|found| &found.address) == endpoint.as_ref()
            })
        };
        rows.iter().position(is_marked).unwrap_or_default()
    }

    /// Whether a line is marked: from the first key that moves the mark on.
    pub(super) fn is_marking(&self) -> bool {
        self.marked.is_some()
    }

    /// Does what a key stands for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if is_interrupt(key) {
            return Wish::End;
        }
        if self.is_typing {
            self.type_key(key);
            return Wish::GoOn;
        }
        if std::mem::take(&mut self.shows_help) && key.code != KeyCode::Char('q') {
            return Wish::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::End,
            KeyCode::Char('?' | 'h') => self.shows_help = true,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.choice.filter.clear(),
            KeyCode::Char('v') => self.choice.lines = self.choice.lines.next(),
            KeyCode::Char('t') => self.choice.only_troubled ^= true,
            KeyCode::Char('r') => self.choice.is_reversed ^= true,
            KeyCode::Char('s' | '>') | KeyCode::Right => self.sort_by(self.choice.sort.moved(1)),
            KeyCode::Char('S' | '<') | KeyCode::Left => self.sort_by(self.choice.sort.previous()),
            KeyCode::Char(' ' | 'p') => self.pause(),
            KeyCode::Up | KeyCode::Char('k') => self.mark(|place, _| place.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.mark(|place, _| place + 1),
            KeyCode::PageUp => self.mark(usize::saturating_sub),
            KeyCode::PageDown => self.mark(|place, page| place + page),
            KeyCode::Home | KeyCode::Char('g') => self.mark(|_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.mark(|_, _| usize::MAX),
            _ => {}
        }
        Wish::GoOn
    }

    fn type_key(&mut self, key: KeyEvent) {
        let filter = &mut self.choice.filter;
        let has_modifier = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => drop(filter.pop()),
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => filter.clear(),
            KeyCode::Char(letter)
                if !has_modifier && !letter.is_control() && filter.chars().count() < MAX_FILTER =>
            {
                filter.push(letter);
            }
            _ => {}
        }
    }

    /// Another column is looked at from its interesting end first.
    fn sort_by(&mut self, sort: Sort) {
        self.choice.sort = sort;
        self.choice.is_reversed = false;
    }

    fn pause(&mut self) {
        self.is_paused ^= true;
        if !self.is_paused {
            self.figures = self.history.figures();
        }
    }

    fn mark(&mut self, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows();
        let place = to(self.marked_place(&rows), self.page).min(rows.len().saturating_sub(1));
        let named =
            |row: &Row<'_>| (row.pool.name.clone(), row.endpoint.map(|endpoint| endpoint.address.clone()));
        self.marked = rows.get(place).map(named);
    }
}
