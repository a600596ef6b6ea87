//! Names of tables and columns across agencies, as configuration and policy files write them.
//!
//! In: `health.public.patients`. Out: [`QualifiedTable`]. A part that holds a dot is written in double quotes, as in SQL.

use std::fmt;

use wayleave_connector_api::TableName;

/// A table of an agency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedTable {
    pub agency: String,
    pub schema: String,
    pub table: String,
}

impl QualifiedTable {
    pub fn new(agency: impl Into<String>, schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { agency: agency.into(), schema: schema.into(), table: table.into() }
    }

    /// Reads `agency.schema.table`.
    ///
    /// # Errors
    /// The text is not three parts, or a part is empty or wrongly quoted.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match parts(text)?.as_slice() {
            [agency, schema, table] => Ok(Self::new(agency, schema, table)),
            found => Err(NameError::Parts { expected: "agency.schema.table", found: found.len() }),
        }
    }

    /// The table's name inside its agency.
    pub fn table_name(&self) -> TableName {
        TableName::new(&self.schema, &self.table)
    }
}

impl fmt::Display for QualifiedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", written(&self.agency), written(&self.schema), written(&self.table))
    }
}

/// A column of an agency's table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedColumn {
    pub table: QualifiedTable,
    pub column: String,
}

impl QualifiedColumn {
    /// Reads `agency.schema.table.column`.
    ///
    /// # Errors
    /// The text is not four parts, or a part is empty or wrongly quoted.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match parts(text)?.as_slice() {
            [agency, schema, table, column] => {
                Ok(Self { table: QualifiedTable::new(agency, schema, table), column: column.clone() })
            }
            found => Err(NameError::Parts { expected: "agency.schema.table.column", found: found.len() }),
        }
    }
}

impl fmt::Display for QualifiedColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, written(&self.column))
    }
}

/// Reads `schema.table`, a table's name inside its agency.
///
/// # Errors
/// The text is not two parts, or a part is empty or wrongly quoted.
pub fn parse_table_name(text: &str) -> Result<TableName, NameError> {
    match parts(text)?.as_slice() {
        [schema, table] => Ok(TableName::new(schema, table)),
        found => Err(NameError::Parts { expected: "schema.table", found: found.len() }),
    }
}

/// Why a text is no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a name of the form `{expected}` is wanted, and this has {found} parts")]
    Parts { expected: &'static str, found: usize },
    #[error("part {position} of the name is empty")]
    EmptyPart { position: usize },
    #[error("the double quotes of the name are not closed before the next dot")]
    Quotes,
}

/// A name in double quotes, as SQL takes any.
pub fn quoted_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn parts(text: &str) -> Result<Vec<String>, NameError> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (part, after) = rest.split_at(end);
                if part.contains('"') {
                    return Err(NameError::Quotes);
                }
                (part.to_owned(), after)
            }
        };
        if part.trim().is_empty() {
            return Err(NameError::EmptyPart { position: parts.len() + 1 });
        }
        parts.push(part);
        rest = match after.strip_prefix('.') {
            Some(rest) => rest,
            None if after.is_empty() => return Ok(parts),
            None => return Err(NameError::Quotes),
        };
    }
}

/// The part up to its closing quote, `""` standing for one quote, and what follows.
fn quoted_part(text: &str) -> Result<(String, &str), NameError> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (head, after) = rest.split_once('"').ok_or(NameError::Quotes)?;
        part.push_str(head);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Ok((part, after)),
        }
    }
}

fn written(part: &str) -> String {
    let plain = !part.contains(['.', '"']) && !part.trim().is_empty();
    if plain { part.to_owned() } else { format!("\"{}\"", part.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for text in ["health.public.patients", "health.dbo.\"Client.Main\"", "a.b.\"say \"\"x\"\"\"", "a.b.Two Words"] {
            assert_eq!(QualifiedTable::parse(text).unwrap().to_string(), text);
        }
        let column = QualifiedColumn::parse("a.b.\"c.d\".e").unwrap();
        assert_eq!((column.table.table.as_str(), column.column.as_str()), ("c.d", "e"));
        assert_eq!(column.to_string(), "a.b.\"c.d\".e");
        assert_eq!(QualifiedTable::parse("a.\"b\".c").unwrap(), QualifiedTable::new("a", "b", "c"));
    }

    #[test]
    fn a_wrong_number_of_parts_is_refused() {
        let wanted = "agency.schema.table";
        assert_eq!(QualifiedTable::parse("public.patients"), Err(NameError::Parts { expected: wanted, found: 2 }));
        assert_eq!(QualifiedTable::parse("a.b.c.d"), Err(NameError::Parts { expected: wanted, found: 4 }));
        assert!(QualifiedColumn::parse("a.b.c").is_err());
        assert!(parse_table_name("patients").is_err());
        assert_eq!(parse_table_name("public.patients"), Ok(TableName::new("public", "patients")));
    }

    #[test]
    fn empty_parts_and_open_quotes_are_refused() {
        assert_eq!(QualifiedTable::parse("a..c"), Err(NameError::EmptyPart { position: 2 }));
        assert_eq!(QualifiedTable::parse(""), Err(NameError::EmptyPart { position: 1 }));
        assert_eq!(QualifiedTable::parse("a.b."), Err(NameError::EmptyPart { position: 3 }));
        for text in ["a.b.\"c", "a.b.\"c\"d", "a.b.c\"d\""] {
            assert_eq!(QualifiedTable::parse(text), Err(NameError::Quotes), "{text}");
        }
    }
}
