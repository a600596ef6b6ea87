//! How a report is written down: a few kinds of blocks, which every form of writing knows.
//!
//! Texts of policy files are somebody else's: each form escapes them in its own way, and none lets them become markup.

mod csv;
mod html;
mod markdown;

pub use csv::csv;
pub use html::html;
pub use markdown::markdown;

/// A report for readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub title: String,
    pub blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Of level 2 (a section) to 4.
    Heading {
        level: u8,
        text: String,
    },
    Paragraph(String),
    List(Vec<String>),
    Table(Grid),
}

impl Document {
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    pub fn heading(&mut self, level: u8, text: impl Into<String>) {
        self.blocks.push(Block::Heading { level: level.clamp(2, 4), text: text.into() });
    }

    pub fn paragraph(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Paragraph(text.into()));
    }

    pub fn list(&mut self, items: Vec<String>) {
        self.blocks.push(Block::List(items));
    }

    pub fn table(&mut self, grid: Grid) {
        self.blocks.push(Block::Table(grid));
    }
}

/// Texts in rows and columns; every row is as wide as the headings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub fn new(headings: &[&str]) -> Self {
        Self { headings: headings.iter().map(|heading| (*heading).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn push<const N: usize>(&mut self, row: [String; N]) {
        let mut row = Vec::from(row);
        row.resize(self.headings.len(), String::new());
        self.rows.push(row);
    }

    pub fn headings(&self) -> &[String] {
        &self.headings
    }

    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }
}
