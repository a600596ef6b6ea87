//! Subject keys as SQLite's SQL. What is more than one plain function is [`crate::functions`], the rule itself; the two are
//! held against each other by a test.

use wayleave_connector_api::{Form, KeyFormat, Scheme};

use super::literal;
use crate::functions::{NHS_NUMBER, WRITTEN_NHS_NUMBER};

/// The canonical key in `sql`, NULL where it is none. For any value of any storage class.
pub(super) fn canonical(sql: &str, format: KeyFormat) -> String {
    match (format.scheme, format.assured) {
        (Scheme::Opaque, true) => sql.to_owned(),
        (Scheme::Opaque, false) => format!("nullif({sql}, '')"),
        (Scheme::NhsNumber, true) => match format.form {
            Form::Compact => sql.to_owned(),
            Form::Spaced => format!("replace({sql}, ' ', '')"),
            Form::Hyphenated => format!("replace({sql}, '-', '')"),
            Form::Mixed => format!("replace(replace({sql}, ' ', ''), '-', '')"),
        },
        (Scheme::NhsNumber, false) => with_form(NHS_NUMBER, sql, format.form),
    }
}

/// The canonical key in `sql` as a column of a single form writes it.
pub(super) fn written(sql: &str, format: KeyFormat) -> String {
    match (format.scheme, format.form) {
        (Scheme::Opaque, _) | (Scheme::NhsNumber, Form::Compact | Form::Mixed) => sql.to_owned(),
        (Scheme::NhsNumber, Form::Spaced | Form::Hyphenated) => with_form(WRITTEN_NHS_NUMBER, sql, format.form),
    }
}

fn with_form(function: &str, sql: &str, form: Form) -> String {
    let name = Form::NAMES.into_iter().find(|(_, known)| *known == form).map_or("", |(name, _)| name);
    format!("{function}({sql}, {})", literal::text(name))
}
