//! Completion in the shell: keywords, the released tables and columns, the shell's own commands.
//!
//! Only what the asker may see is ever offered.

use crate::names::quoted_identifier;

/// The words of one session.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// `agency.schema.table`, quoted where SQL needs it.
    tables: Vec<String>,
    columns: Vec<String>,
}

const KEYWORDS: [&str; 62] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "AVG",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COALESCE",
    "COUNT",
    "CROSS",
    "CURRENT_DATE",
    "DATE",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FIRST",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOWER",
    "MAX",
    "MIN",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "SUM",
    "THEN",
    "TRUE",
    "UNION",
    "UPPER",
    "VALUES",
    "WHEN",
    "WHERE",
];

const COMMANDS: [&str; 10] =
    ["\\?", "\\case", "\\d", "\\dt", "\\explain", "\\format", "\\purpose", "\\q", "\\reason", "\\timing"];

impl Words {
    /// Takes tables as parts of a name, and column names, in any order and with repetitions.
    pub fn new<'a>(tables: impl IntoIterator<Item = [&'a str; 3]>, columns: impl IntoIterator<Item = &'a str>) -> Self {
        let tables = tables.into_iter().map(|parts| parts.map(quoted).join(".")).collect();
        let columns = columns.into_iter().map(quoted).collect();
        Self { tables: sorted(tables), columns: sorted(columns) }
    }

    /// Where the word before `position` begins, and what may stand in its place.
    pub fn complete(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = line.get(..position).unwrap_or(line);
        if before.starts_with('\\') && !before.contains(char::is_whitespace) {
            return (0, matching(COMMANDS.iter().copied(), before));
        }
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '.' | '"'))
            .last()
            .map_or(before.len(), |(start, _)| start);
        let word = before.get(start..).unwrap_or_default();
        if word.is_empty() {
            return (start, Vec::new());
        }
        let mut candidates = matching(self.tables.iter().map(String::as_str), word);
        if let (true, Some((qualifier, column))) = (candidates.is_empty(), word.rsplit_once('.')) {
            let columns = matching(self.columns.iter().map(String::as_str), column);
            return (start + qualifier.len() + 1, columns);
        }
        candidates.extend(matching(self.columns.iter().map(String::as_str), word));
        let lower_case = !word.contains(char::is_uppercase);
        candidates.extend(
            matching(KEYWORDS.into_iter(), word)
                .into_iter()
                .map(|keyword| if lower_case { keyword.to_lowercase() } else { keyword }),
        );
        (start, candidates)
    }
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort_unstable();
    words.dedup();
    words
}

fn matching<'a>(words: impl Iterator<Item = &'a str>, prefix: &str) -> Vec<String> {
    let begins = |word: &str| word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    words.filter(|word| begins(word)).map(str::to_owned).collect()
}

/// A name as it must be written in SQL.
pub fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(name));
    if plain { name.to_owned() } else { quoted_identifier(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::new(
            [["health", "public", "patients"], ["health", "public", "Visits"], ["social", "main", "clients"]],
            ["nhs_number", "name", "order", "nhs_number"],
        )
    }

    fn complete(line: &str) -> (usize, Vec<String>) {
        words().complete(line, line.len())
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn tables_complete_by_their_whole_name() {
        let (start, found) = complete("SELECT * FROM heal");
        assert_eq!((start, found), (14, owned(&["health.public.\"Visits\"", "health.public.patients"])));
        assert_eq!(complete("from health.public.p").1, owned(&["health.public.patients"]));
    }

    #[test]
    fn columns_complete_alone_and_behind_an_alias() {
        assert_eq!(complete("SELECT nh"), (7, owned(&["nhs_number"])));
        assert_eq!(complete("SELECT p.na"), (9, owned(&["name"])));
        assert_eq!(complete("SELECT p.").1, owned(&["\"order\"", "name", "nhs_number"]));
    }

    #[test]
    fn keywords_follow_the_typed_case() {
        assert_eq!(complete("sel"), (0, owned(&["select"])));
        assert_eq!(complete("SELECT 1 LIM").1, owned(&["LIMIT"]));
    }

    #[test]
    fn commands_complete_at_the_start_only() {
        assert_eq!(complete("\\d"), (0, owned(&["\\d", "\\dt"])));
        assert!(complete("\\purpose x").1.is_empty());
    }

    #[test]
    fn nothing_is_offered_for_nothing_or_in_the_middle_of_a_character() {
        assert!(complete("SELECT ").1.is_empty());
        assert!(words().complete("é", 1).1.is_empty());
        assert!(complete("SELECT né").1.is_empty());
    }

    #[test]
    fn names_are_quoted_where_sql_needs_it() {
        assert_eq!(
            ["a_1", "A", "1a", "a b", "a\"b", "select"].map(quoted),
            ["a_1", "\"A\"", "\"1a\"", "\"a b\"", "\"a\"\"b\"", "\"select\""]
        );
    }
}
