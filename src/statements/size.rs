//! How large a statement is, before anything descends into it: planning goes down a level for each link of a chain and each
//! relation, and so does giving back what was planned.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::Error;

/// Operators that one statement may have: the time of planning grows with their square.
const MOST_OPERATORS: usize = 1_000;
/// Links of a chain, one in the other: `1 = 1 = 1`, `x::int::int`, `a JOIN b JOIN c`.
const MOST_LINKS: usize = 1_000;
/// Set operations and joins that go on from each other: each is a relation over a relation.
const MOST_RELATIONS_IN_A_CHAIN: usize = 100;
/// Relations, a table of WITH counted as often as it is used, with all that it reads: it is planned as often.
const MOST_RELATIONS: usize = 1_000;

/// What can be chained, from the loosest to the tightest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Set,
    Join,
    Logic,
    Comparison,
    Arithmetic,
    Postfix,
}

const LINKS: usize = 6;

impl Link {
    fn place(self) -> usize {
        match self {
            Self::Set => 0,
            Self::Join => 1,
            Self::Logic => 2,
            Self::Comparison => 3,
            Self::Arithmetic => 4,
            Self::Postfix => 5,
        }
    }

    fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::MINUS => Self::Set,
                Keyword::JOIN => Self::Join,
                Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::XOR => Self::Logic,
                Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::REGEXP
                | Keyword::RLIKE
                | Keyword::BETWEEN
                | Keyword::IN
                | Keyword::OVERLAPS
                | Keyword::NOTNULL => Self::Comparison,
                Keyword::COLLATE | Keyword::AT | Keyword::OPERATOR | Keyword::DIV => Self::Arithmetic,
                _ => return None,
            },
            Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::DoubleEq
            | Token::Spaceship => Self::Comparison,
            Token::DoubleColon | Token::LBracket | Token::Period => Self::Postfix,
            Token::Word(_)
            | Token::Comma
            | Token::LParen
            | Token::RParen
            | Token::RBracket
            | Token::SemiColon
            | Token::EOF
            | Token::Whitespace(_)
            | Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::DollarQuotedString(_) => return None,
            // Whatever else stands between two expressions.
            _ => Self::Arithmetic,
        })
    }
}

/// Chains at one level of parentheses.
#[derive(Clone, Debug, Default)]
struct Level {
    current: [usize; LINKS],
    longest: [usize; LINKS],
    /// Of what stands in parentheses here.
    inside: usize,
    is_from: bool,
}

impl Level {
    fn add(&mut self, link: Link) {
        let place = link.place();
        for (at, current) in self.current.iter_mut().enumerate() {
            match at.cmp(&place) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => *current += 1,
                // What binds tighter ends here, and another begins.
                std::cmp::Ordering::Greater => *current = 0,
            }
        }
        for (longest, current) in self.longest.iter_mut().zip(self.current) {
            *longest = (*longest).max(current);
        }
    }

    /// Another expression begins.
    fn next(&mut self) {
        self.current.iter_mut().skip(Link::Logic.place()).for_each(|current| *current = 0);
    }

    fn depth(&self) -> usize {
        self.longest.iter().sum::<usize>() + self.inside
    }

    fn relations(&self) -> usize {
        self.longest.iter().take(Link::Logic.place()).copied().max().unwrap_or(0)
    }
}

/// Refuses a statement whose chains are too long, by its words alone.
///
/// # Errors
/// [`Error::TooLong`]
pub fn check_chains<'a>(tokens: impl Iterator<Item = &'a Token>) -> Result<(), Error> {
    let mut levels = vec![Level::default()];
    let (mut operators, mut links, mut relations) = (0, 0, 0);
    for token in tokens {
        operators += usize::from(is_operator(token));
        let link = Link::of(token);
        match token {
            Token::LParen | Token::LBracket => levels.push(Level::default()),
            Token::RParen | Token::RBracket if levels.len() > 1 => {
                let ended = levels.pop().unwrap_or_default();
                relations = relations.max(ended.relations());
                if let Some(level) = levels.last_mut() {
                    level.inside = level.inside.max(ended.depth() + 1);
                    if *token == Token::RBracket {
                        level.add(Link::Postfix);
                    }
                }
            }
            _ => {}
        }
        let Some(level) = levels.last_mut() else { continue };
        match (token, link) {
            (Token::LBracket, _) => {}
            (Token::Comma, _) if level.is_from => level.add(Link::Join),
            (Token::Comma, _) => level.next(),
            (_, Some(link)) => level.add(link),
            (Token::Word(word), None) if word.quote_style.is_none() => match word.keyword {
                Keyword::FROM => {
                    level.is_from = true;
                    level.next();
                }
                Keyword::SELECT
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::VALUES => {
                    level.is_from = false;
                    level.current.iter_mut().skip(Link::Join.place()).for_each(|current| *current = 0);
                }
                Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE => level.next(),
                _ => {}
            },
            _ => {}
        }
        links = links.max(level.depth());
        relations = relations.max(level.relations());
    }
    // What was never closed counts as well.
    links = links.max(levels.iter().map(|level| level.depth() + 1).sum());
    check("operators,", operators, MOST_OPERATORS)?;
    check("links in a chain,", links, MOST_LINKS)?;
    check("joins or set operations in a chain,", relations, MOST_RELATIONS_IN_A_CHAIN)
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(word.keyword, Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::UNION),
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        _ => false,
    }
}

fn check(what: &'static str, count: usize, most: usize) -> Result<(), Error> {
    if count > most { Err(Error::TooLong { what, count, most }) } else { Ok(()) }
}

/// Refuses a statement that reads too many relations, each table of WITH counted wherever it is used.
///
/// # Errors
/// [`Error::TooLong`]
pub fn check_relations(statement: &ast::Statement) -> Result<(), Error> {
    let mut counted = Relations::default();
    let _ = statement.visit(&mut counted);
    check("relations, each counted as often as it is used,", counted.outside, MOST_RELATIONS)
}

#[derive(Default)]
struct Relations {
    queries: Vec<OpenQuery>,
    /// Of the statement itself.
    outside: usize,
}

/// A query that is being read.
#[derive(Default)]
struct OpenQuery {
    /// Tables of WITH that are still to come.
    expected: VecDeque<String>,
    common: BTreeMap<String, usize>,
    count: usize,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let expected = tables.map(|table| table.alias.name.value.to_lowercase()).collect();
        self.queries.push(OpenQuery { expected, ..OpenQuery::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        let count = self.queries.pop().map_or(0, |query| query.count.max(1));
        match self.queries.last_mut() {
            None => self.outside = self.outside.saturating_add(count),
            Some(outer) => match outer.expected.pop_front() {
                Some(name) => drop(outer.common.insert(name, count)),
                None => outer.count = outer.count.saturating_add(count),
            },
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<()> {
        let name = relation.0.last().filter(|_| relation.0.len() == 1).and_then(|part| part.as_ident());
        let name = name.map(|name| name.value.to_lowercase());
        let common = self.queries.iter().rev().find_map(|query| query.common.get(name.as_ref()?).copied());
        if let Some(query) = self.queries.last_mut() {
            query.count = query.count.saturating_add(common.unwrap_or(1));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn chains(sql: &str) -> Result<(), Error> {
        check_chains(Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().unwrap().iter())
    }

    #[test]
    fn a_chain_of_any_kind_has_an_end() {
        for (start, link, end) in [
            ("SELECT 1", "::int", ""),
            ("SELECT 1", " = 1", ""),
            ("SELECT 1", " IS NULL", ""),
            ("SELECT 'a'", " LIKE 'a'", ""),
            ("SELECT 'a'", " ~ 'a'", ""),
            ("SELECT 'a'", " COLLATE \"C\"", ""),
            ("SELECT now()", " AT TIME ZONE 'UTC'", ""),
            ("SELECT x", "[1]", ""),
            ("SELECT x", ".y", ""),
            ("SELECT x", " -> 'a'", ""),
            ("SELECT 1", " & 1", ""),
            ("SELECT 1", " INTERSECT SELECT 1", ""),
            ("SELECT 1 FROM a", " JOIN a ON true", ""),
            ("SELECT 1 FROM a", ", a", " WHERE true"),
            ("SELECT 1 WHERE true", " OR true", ""),
            ("SELECT (1", " = 1", ")"),
            ("SELECT ((1", "::int", "))::int = 1"),
        ] {
            let sql = |count: usize| format!("{start}{}{end}", link.repeat(count));
            assert!(chains(&sql(2_000)).is_err(), "{start}{link}");
            assert!(chains(&sql(90)).is_ok(), "{start}{link}");
        }
        assert!(chains(&"(SELECT 1".repeat(2_000)).is_err());
    }

    #[test]
    fn what_is_long_without_a_chain_is_not_refused() {
        let columns: Vec<String> = (0..3_000).map(|at| format!("a.c{at}::int AS c{at}")).collect();
        chains(&format!("SELECT {} FROM a WHERE b IN ({})", columns.join(", "), "1, ".repeat(5_000))).unwrap();
        let values: Vec<String> = (0..900).map(|at| format!("a = {at}")).collect();
        chains(&format!("SELECT 1 WHERE {}", values.join(" OR "))).unwrap();
    }

    #[test]
    fn tables_of_with_count_as_often_as_they_are_used() {
        let parsed = |sql: &str| Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        let doubled = |times: usize| {
            let tables = (1..=times).map(|at| format!("t{at} AS (SELECT x.a FROM t{} x, t{} y)", at - 1, at - 1));
            format!("WITH t0 AS (SELECT 1 AS a), {} SELECT * FROM t{times}", tables.collect::<Vec<_>>().join(", "))
        };
        check_relations(&parsed(&doubled(9))).unwrap();
        assert!(matches!(check_relations(&parsed(&doubled(10))), Err(Error::TooLong { count: 1024, .. })));
        assert!(check_relations(&parsed(&doubled(90))).is_err());
        let inner = "SELECT * FROM a WHERE b IN (WITH c AS (SELECT 1 FROM a, a) SELECT * FROM c, c)";
        check_relations(&parsed(inner)).unwrap();
    }
}
