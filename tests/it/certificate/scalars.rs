//! Made-up expressions of every type over the columns in scope.

use arrow::datatypes::DataType;

use super::chance::Chance;
use super::release::Released;
use super::worlds::{DATES, FLOATS, INTEGERS, LONG_INTEGERS, TEXTS, moment};

/// What an expression is, as far as others may stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Boolean,
    Integer,
    Decimal,
    Float,
    Text,
    Bytes,
    Date,
    Timestamp,
    TimestampZoned,
}

impl Class {
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Decimal128(..) => Self::Decimal,
            DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Binary => Self::Bytes,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(..) => Self::TimestampZoned,
            integer if integer.is_integer() => Self::Integer,
            _ => Self::Text,
        }
    }

    /// Whether its values have an order that is worth asking for.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Self::Boolean | Self::Bytes)
    }

    fn is_dated(self) -> bool {
        matches!(self, Self::Date | Self::Timestamp | Self::TimestampZoned)
    }
}

#[derive(Clone, Debug)]
pub struct Scope {
    pub tables: Vec<ScopeTable>,
    pub columns: Vec<ScopeColumn>,
}

#[derive(Clone, Debug)]
pub struct ScopeTable {
    /// A column of which no two rows have the same.
    pub unique: Option<String>,
    /// The subject key.
    pub key: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ScopeColumn {
    pub sql: String,
    pub class: Class,
    /// Where a table's own column stands: the table's and the column's position.
    pub place: Option<(usize, usize)>,
}

impl Scope {
    pub fn and(&self, other: &Self) -> Self {
        Self {
            tables: self.tables.iter().chain(&other.tables).cloned().collect(),
            columns: self.columns.iter().chain(&other.columns).cloned().collect(),
        }
    }
}

pub struct Scalars<'a> {
    pub released: &'a [Released],
    pub chance: Chance,
}

impl Scalars<'_> {
    /// A column, of one class where that is asked for.
    pub fn column(&mut self, scope: &Scope, wanted: Option<Class>) -> Option<(String, Class)> {
        let fitting: Vec<&ScopeColumn> =
            scope.columns.iter().filter(|column| wanted.is_none_or(|wanted| wanted == column.class)).collect();
        if fitting.is_empty() {
            return None;
        }
        let column = self.chance.pick(&fitting);
        Some((column.sql.clone(), column.class))
    }

    /// A class that some column in scope has, or nearly any.
    pub fn class(&mut self, scope: &Scope) -> Class {
        match self.column(scope, None) {
            Some((_, class)) if !self.chance.once_in(4) => class,
            _ => self.chance.pick(&[Class::Boolean, Class::Integer, Class::Text, Class::Integer, Class::Text]),
        }
    }

    /// A column of either scope, of the same class.
    pub fn pair(&mut self, left: &Scope, right: &Scope) -> Option<(String, String, Class)> {
        for _ in 0..8 {
            let (one, class) = self.column(left, None)?;
            if let Some((other, _)) = self.column(right, Some(class)) {
                return Some((one, other, class));
            }
        }
        None
    }

    pub fn constant(&mut self, class: Class) -> String {
        if self.chance.once_in(40) {
            return "NULL".to_owned();
        }
        // Mostly a value that stands in some table.
        if !self.chance.once_in(3) && self.chance.below(8) > 0 {
            let tables: Vec<&Released> = self.released.iter().filter(|table| !table.rows.is_empty()).collect();
            if !tables.is_empty() {
                let table = self.chance.pick(&tables);
                let columns: Vec<usize> = table
                    .columns
                    .iter()
                    .enumerate()
                    .filter(|(_, (_, data_type))| Class::of(data_type) == class)
                    .map(|(position, _)| position)
                    .collect();
                if !columns.is_empty() {
                    let column = self.chance.pick(&columns);
                    let row = self.chance.below(table.rows.len());
                    if let Some(text) = &table.rows[row][column] {
                        return literal(class, text);
                    }
                }
            }
        }
        let text = match class {
            Class::Boolean => self.chance.pick(&["true", "false"]).to_owned(),
            Class::Integer if self.chance.once_in(20) => self.chance.pick(&LONG_INTEGERS).to_string(),
            Class::Integer => self.chance.pick(&INTEGERS).to_string(),
            Class::Decimal => {
                self.chance.pick(&["0", "1", "0.5", "1.25", "-2.50", "99.99", "100", "1000000.00001"]).to_owned()
            }
            Class::Float => self.chance.pick(&FLOATS).to_owned(),
            Class::Text => self.chance.pick(&TEXTS).to_owned(),
            Class::Bytes => "61".to_owned(),
            Class::Date => self.chance.pick(&DATES).to_owned(),
            Class::Timestamp | Class::TimestampZoned => moment(&mut self.chance),
        };
        literal(class, &text)
    }

    /// A value of this very column, mostly.
    fn constant_like(&mut self, scope: &Scope, sql: &str, class: Class) -> String {
        let place = scope.columns.iter().find(|column| column.sql == sql).and_then(|column| column.place);
        if let Some((table, column)) = place
            && !self.released[table].rows.is_empty()
            && !self.chance.once_in(4)
        {
            let row = self.chance.below(self.released[table].rows.len());
            if let Some(text) = &self.released[table].rows[row][column] {
                return literal(class, text);
            }
        }
        self.constant(class)
    }

    /// A column or a constant.
    fn leaf(&mut self, scope: &Scope, class: Class) -> String {
        match self.column(scope, Some(class)) {
            Some((column, _)) if !self.chance.once_in(5) => column,
            _ => self.constant(class),
        }
    }

    pub fn expr(&mut self, scope: &Scope, class: Class, depth: usize) -> String {
        if depth == 0 {
            return self.leaf(scope, class);
        }
        let below = depth - 1;
        match self.chance.below(9) {
            0 => {
                let otherwise = match self.chance.below(3) {
                    0 => String::new(),
                    _ => format!(" ELSE {}", self.expr(scope, class, below)),
                };
                return format!(
                    "CASE WHEN {} THEN {}{otherwise} END",
                    self.predicate(scope, below),
                    self.expr(scope, class, below)
                );
            }
            1 => return format!("coalesce({}, {})", self.expr(scope, class, below), self.leaf(scope, class)),
            2 if class != Class::Boolean => {
                return format!("nullif({}, {})", self.expr(scope, class, below), self.constant(class));
            }
            3 if class != Class::Bytes => {
                let subject = self.class(scope);
                return format!(
                    "CASE {} WHEN {} THEN {} WHEN {} THEN {} END",
                    self.leaf(scope, subject),
                    self.constant(subject),
                    self.leaf(scope, class),
                    self.constant(subject),
                    self.expr(scope, class, below)
                );
            }
            _ => {}
        }
        match class {
            Class::Boolean => self.predicate(scope, depth),
            Class::Integer => self.integer(scope, below),
            Class::Decimal => self.decimal(scope, below),
            Class::Float => self.float(scope, below),
            Class::Text => self.text(scope, below),
            Class::Bytes => self.leaf(scope, class),
            Class::Date => match self.chance.below(3) {
                0 if self.has(scope, Class::Timestamp) => {
                    format!("CAST({} AS DATE)", self.leaf(scope, Class::Timestamp))
                }
                _ => self.leaf(scope, class),
            },
            Class::Timestamp => match self.chance.below(3) {
                0 => {
                    let unit = self.chance.pick(&["year", "month", "day", "hour", "quarter", "week"]);
                    format!("date_trunc('{unit}', {})", self.leaf(scope, class))
                }
                1 if self.has(scope, Class::Date) => format!("CAST({} AS TIMESTAMP)", self.leaf(scope, Class::Date)),
                _ => self.leaf(scope, class),
            },
            Class::TimestampZoned => self.leaf(scope, class),
        }
    }

    fn has(&self, scope: &Scope, class: Class) -> bool {
        scope.columns.iter().any(|column| column.class == class)
    }

    fn integer(&mut self, scope: &Scope, depth: usize) -> String {
        let dated: Vec<Class> =
            scope.columns.iter().map(|column| column.class).filter(|class| class.is_dated()).collect();
        match self.chance.below(15) {
            0 | 1 => format!("{} + {}", self.operand(scope, Class::Integer, depth), self.leaf(scope, Class::Integer)),
            2 => format!("{} - {}", self.operand(scope, Class::Integer, depth), self.leaf(scope, Class::Integer)),
            3 => {
                format!("{} * {}", self.operand(scope, Class::Integer, depth), self.chance.pick(&["2", "-1", "3", "0"]))
            }
            4 => format!(
                "{} / {}",
                self.operand(scope, Class::Integer, depth),
                self.chance.pick(&["2", "-3", "7", "10"])
            ),
            5 => format!(
                "{} % {}",
                self.operand(scope, Class::Integer, depth),
                self.chance.pick(&["2", "-3", "7", "10"])
            ),
            6 => format!("- {}", self.operand(scope, Class::Integer, depth)),
            7 => format!("abs({})", self.expr(scope, Class::Integer, depth)),
            8 => format!("length({})", self.expr(scope, Class::Text, depth)),
            9 => format!("strpos({}, {})", self.expr(scope, Class::Text, depth), self.constant(Class::Text)),
            10 if !dated.is_empty() => {
                let class = self.chance.pick(&dated);
                let part = self.chance.pick(&["year", "month", "day", "dow", "doy", "quarter", "week"]);
                format!("extract({part} FROM {})", self.leaf(scope, class))
            }
            11 if !dated.is_empty() => {
                let class = self.chance.pick(&dated);
                let part = self.chance.pick(&["year", "month", "hour", "minute"]);
                format!("date_part('{part}', {})", self.leaf(scope, class))
            }
            12 => format!("CAST({} AS BIGINT)", self.leaf(scope, Class::Boolean)),
            13 => format!("{} / nullif({}, 0)", self.leaf(scope, Class::Integer), self.leaf(scope, Class::Integer)),
            _ => self.leaf(scope, Class::Integer),
        }
    }

    fn operand(&mut self, scope: &Scope, class: Class, depth: usize) -> String {
        format!("({})", self.expr(scope, class, depth))
    }

    fn decimal(&mut self, scope: &Scope, depth: usize) -> String {
        match self.chance.below(8) {
            0 => format!("{} + {}", self.operand(scope, Class::Decimal, depth), self.constant(Class::Decimal)),
            1 => format!("{} - {}", self.operand(scope, Class::Decimal, depth), self.leaf(scope, Class::Decimal)),
            2 => format!("{} * {}", self.operand(scope, Class::Decimal, depth), self.chance.pick(&["2", "0.5", "-1"])),
            3 => format!("abs({})", self.leaf(scope, Class::Decimal)),
            4 => format!("round({}, {})", self.leaf(scope, Class::Decimal), self.chance.below(3)),
            5 => format!("- {}", self.operand(scope, Class::Decimal, depth)),
            _ => self.leaf(scope, Class::Decimal),
        }
    }

    fn float(&mut self, scope: &Scope, depth: usize) -> String {
        match self.chance.below(8) {
            0 => format!("{} + {}", self.operand(scope, Class::Float, depth), self.constant(Class::Float)),
            1 => format!("{} * {}", self.operand(scope, Class::Float, depth), self.leaf(scope, Class::Float)),
            2 => format!("{} / {}", self.operand(scope, Class::Float, depth), self.leaf(scope, Class::Float)),
            3 => format!("CAST({} AS DOUBLE)", self.leaf(scope, Class::Integer)),
            4 => format!("abs({})", self.leaf(scope, Class::Float)),
            5 => format!("floor({})", self.leaf(scope, Class::Float)),
            _ => self.leaf(scope, Class::Float),
        }
    }

    fn text(&mut self, scope: &Scope, depth: usize) -> String {
        let start = self.chance.pick(&["1", "2", "0", "-1", "4"]);
        let count = self.chance.pick(&["0", "1", "3", "10"]);
        match self.chance.below(17) {
            0 => format!("{} || {}", self.operand(scope, Class::Text, depth), self.leaf(scope, Class::Text)),
            1 => format!("upper({})", self.expr(scope, Class::Text, depth)),
            2 => format!("lower({})", self.expr(scope, Class::Text, depth)),
            3 => format!("substr({}, {start}, {count})", self.expr(scope, Class::Text, depth)),
            4 => format!("substr({}, {start})", self.expr(scope, Class::Text, depth)),
            5 => format!("btrim({})", self.expr(scope, Class::Text, depth)),
            6 => format!("ltrim({})", self.expr(scope, Class::Text, depth)),
            7 => format!("rtrim({})", self.expr(scope, Class::Text, depth)),
            8 => {
                format!("left({}, {})", self.expr(scope, Class::Text, depth), self.chance.pick(&["0", "1", "2", "-1"]))
            }
            9 => {
                format!("right({}, {})", self.expr(scope, Class::Text, depth), self.chance.pick(&["0", "1", "2", "-1"]))
            }
            10 => format!(
                "replace({}, {}, {})",
                self.expr(scope, Class::Text, depth),
                self.constant(Class::Text),
                self.constant(Class::Text)
            ),
            11 => format!("concat({}, {})", self.expr(scope, Class::Text, depth), self.leaf(scope, Class::Text)),
            12 => format!("CAST({} AS VARCHAR)", self.leaf(scope, Class::Integer)),
            13 => format!("reverse({})", self.leaf(scope, Class::Text)),
            14 => format!("lpad({}, 5, '*')", self.leaf(scope, Class::Text)),
            _ => self.leaf(scope, Class::Text),
        }
    }

    pub fn predicate(&mut self, scope: &Scope, depth: usize) -> String {
        if depth > 0 {
            match self.chance.below(8) {
                0 => return format!("({} AND {})", self.predicate(scope, depth - 1), self.predicate(scope, depth - 1)),
                1 | 2 | 4 => {
                    return format!("({} OR {})", self.predicate(scope, depth - 1), self.predicate(scope, depth - 1));
                }
                3 => return format!("NOT ({})", self.predicate(scope, depth - 1)),
                _ => {}
            }
        }
        self.comparison(scope, depth)
    }

    fn comparison(&mut self, scope: &Scope, depth: usize) -> String {
        let class = match self.column(scope, None) {
            Some((_, class)) => class,
            None => Class::Integer,
        };
        // Mostly a column on its own, which an index may serve.
        let left = match self.chance.below(5) {
            0 | 1 => self.expr(scope, class, depth.min(1)),
            2 => self.leaf(scope, class),
            _ => self.column(scope, Some(class)).map_or_else(|| self.constant(class), |(column, _)| column),
        };
        let near = |scalars: &mut Self| scalars.constant_like(scope, &left, class);
        let (one, two, three) = (near(self), near(self), near(self));
        let left = if left.contains(' ') { format!("({left})") } else { left };
        let not = if self.chance.once_in(3) { "NOT " } else { "" };
        match self.chance.below(13) {
            0 => format!("{left} IS NULL"),
            1 => format!("{left} IS NOT NULL"),
            2 => format!("{left} {not}IN ({one}, {two}, {three})"),
            3 if class.is_ordered() => format!("{left} {not}BETWEEN {one} AND {two}"),
            4 | 5 if class == Class::Text => format!("{left} {not}LIKE {}", self.pattern()),
            6 => format!("{left} {} {}", self.chance.pick(&["=", "<>", "<=", ">"]), self.leaf(scope, class)),
            // In parentheses: the parser reads an AND after it as part of its right side.
            7 => format!("({left} IS {not}DISTINCT FROM {one})"),
            8 if class == Class::Boolean => {
                format!("{left} IS {not}{}", self.chance.pick(&["TRUE", "FALSE", "UNKNOWN"]))
            }
            9 => format!("coalesce({left} = {one}, {})", self.chance.pick(&["TRUE", "FALSE"])),
            10 if class == Class::Text => format!("starts_with({left}, {one})"),
            _ if class == Class::Boolean => left,
            _ => format!("{left} {} {one}", self.chance.pick(&["=", "<>", "<>", "<", "<=", ">", ">="])),
        }
    }

    fn pattern(&mut self) -> String {
        let text = self.chance.pick(&TEXTS).replace('\'', "''");
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        match self.chance.below(6) {
            0 => format!("'{escaped}%'"),
            1 => format!("'%{escaped}'"),
            2 => format!("'%{escaped}%'"),
            3 => format!("'_{escaped}%'"),
            4 => format!("'{text}%'"),
            _ => format!("'{}'", self.chance.pick(&["%", "_", "%_", "a_", "%a%", "\\%%", "_%_", "%\\", "a\\_b"])),
        }
    }

    /// An aggregate and what it gives.
    pub fn aggregate(&mut self, scope: &Scope) -> (String, Class) {
        let (aggregate, class) = self.plain_aggregate(scope);
        if self.chance.once_in(5) {
            return (format!("{aggregate} FILTER (WHERE {})", self.predicate(scope, 1)), class);
        }
        (aggregate, class)
    }

    /// One that may stand in a window as well.
    pub fn plain_aggregate(&mut self, scope: &Scope) -> (String, Class) {
        let class = self.class(scope);
        let argument = match self.column(scope, Some(class)) {
            Some((column, _)) if !self.chance.once_in(3) => column,
            _ => self.expr(scope, class, 1),
        };
        let is_number = matches!(class, Class::Integer | Class::Decimal | Class::Float);
        match self.chance.below(11) {
            0 | 1 => ("count(*)".to_owned(), Class::Integer),
            2 => (format!("count({argument})"), Class::Integer),
            3 => (format!("count(DISTINCT {argument})"), Class::Integer),
            4 | 5 if is_number => (format!("sum({argument})"), class),
            6 if is_number => {
                (format!("avg({argument})"), if class == Class::Decimal { Class::Decimal } else { Class::Float })
            }
            7 if class == Class::Integer => (format!("stddev({argument})"), Class::Float),
            8 if class == Class::Integer => (format!("sum(DISTINCT {argument})"), Class::Integer),
            9 if class.is_ordered() => (format!("min({argument})"), class),
            _ if class.is_ordered() => (format!("max({argument})"), class),
            _ => (format!("count({argument})"), Class::Integer),
        }
    }
}

fn literal(class: Class, text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''"));
    match class {
        Class::Boolean => text.to_uppercase(),
        // The smallest number is written as minus a number that is no int8.
        Class::Integer if text == "-9223372036854775808" => "-9223372036854775807".to_owned(),
        Class::Integer | Class::Decimal => text.to_owned(),
        Class::Float => match text {
            // As a decimal it would need hundreds of digits.
            _ if text.contains(['n', 'e']) || text.contains('N') => format!("CAST({quoted} AS DOUBLE)"),
            _ => format!("CAST({text} AS DOUBLE)"),
        },
        Class::Text => quoted,
        Class::Bytes => format!("X{quoted}"),
        Class::Date => format!("DATE {quoted}"),
        Class::Timestamp => format!("TIMESTAMP {quoted}"),
        Class::TimestampZoned => format!("CAST('{}+00:00' AS TIMESTAMPTZ)", text.replace(' ', "T")),
    }
}
