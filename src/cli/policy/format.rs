//! The forms in which a report is written, and where to.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::super::Failure;
use super::super::output::write_text;
use super::text::text;
use crate::stewardship::render::{Document, Grid, csv, html, markdown};

#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// How the report is written; by default what --output's ending says, else a table
    #[arg(long, value_enum)]
    format: Option<ReportFormat>,
    /// Write the report to a file, which appears only when it is complete
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// Aligned columns for a terminal
    Table,
    /// For spreadsheets; a field that one would run as a formula has an apostrophe before it
    Csv,
    /// One page that needs nothing else
    Html,
    /// For documents and wikis
    Markdown,
    /// One JSON object
    Json,
}

impl ReportArgs {
    /// Writes a report: the same value in whichever form was asked for.
    pub fn write(&self, report: &impl Serialize, document: &Document, grid: &Grid) -> Result<(), Failure> {
        let format = self.format.or_else(|| self.output.as_deref().and_then(of_file)).unwrap_or(ReportFormat::Table);
        let written = match format {
            ReportFormat::Table => text(document),
            ReportFormat::Csv => csv(grid),
            ReportFormat::Html => html(document),
            ReportFormat::Markdown => markdown(document),
            ReportFormat::Json => json(report)?,
        };
        write_text(self.output.as_deref(), &written)
    }
}

fn json(report: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(report);
    Ok(text.map_err(|error| Failure::output("the report cannot be written as JSON", &error))? + "\n")
}

fn of_file(path: &Path) -> Option<ReportFormat> {
    match path.extension()?.to_str()? {
        "csv" => Some(ReportFormat::Csv),
        "html" | "htm" => Some(ReportFormat::Html),
        "md" => Some(ReportFormat::Markdown),
        "json" => Some(ReportFormat::Json),
        _ => None,
    }
}
