//! Queries made up from a seed: the same seed, the same query.
//!
//! They speak of what a session sees, join agencies on the subject keys, and compare with constants that stand in the seed
//! data or nearly do: other case, blanks, other written forms, NULL.

/// A made-up query.
pub struct Query {
    pub sql: String,
    /// Whether its ORDER BY leaves no two rows in doubt.
    pub ordered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Key,
    Text,
    Integer,
    Decimal,
    Date,
    Timestamp,
}

pub struct Table {
    name: &'static str,
    /// No two rows have the same.
    unique: &'static str,
    key: &'static str,
    columns: &'static [(&'static str, Type)],
}

/// What the social worker sees: consent is asked, in the table's own agency and in another.
pub const SOCIAL_WORKER: &[Table] = &[
    Table {
        name: "health.main.patients",
        unique: "patient_id",
        key: "nhs_number",
        columns: &[
            ("patient_id", Type::Integer),
            ("nhs_number", Type::Key),
            ("name", Type::Text),
            ("dob", Type::Date),
            ("sex", Type::Text),
            ("postcode", Type::Text),
            ("gp_practice", Type::Text),
        ],
    },
    Table {
        name: "health.main.encounters",
        unique: "encounter_id",
        key: "nhs_number",
        columns: &[
            ("encounter_id", Type::Integer),
            ("nhs_number", Type::Key),
            ("kind", Type::Text),
            ("clinic", Type::Text),
            ("cost", Type::Decimal),
            ("happened_on", Type::Date),
        ],
    },
    Table {
        name: "social.main.clients",
        unique: "client_id",
        key: "nhs_number",
        columns: &[
            ("client_id", Type::Text),
            ("nhs_number", Type::Key),
            ("full_name", Type::Text),
            ("phone", Type::Text),
            ("team", Type::Text),
            ("note", Type::Text),
        ],
    },
    Table {
        name: "social.main.packages",
        unique: "package_id",
        key: "nhs_number",
        columns: &[
            ("package_id", Type::Integer),
            ("nhs_number", Type::Key),
            ("kind", Type::Text),
            ("weekly_cost", Type::Integer),
            ("started_on", Type::Date),
        ],
    },
    Table {
        name: "social.main.assessments",
        unique: "assessment_id",
        key: "nhs_number",
        columns: &[
            ("assessment_id", Type::Integer),
            ("nhs_number", Type::Key),
            ("need", Type::Text),
            ("score", Type::Integer),
            ("assessed_on", Type::Date),
        ],
    },
    Table {
        name: "housing.main.tenants",
        unique: "tenant_id",
        key: "nhs_no",
        columns: &[("tenant_id", Type::Integer), ("nhs_no", Type::Key), ("name", Type::Text), ("phone", Type::Text)],
    },
    Table {
        name: "housing.main.tenancies",
        unique: "tenancy_id",
        key: "nhs_no",
        columns: &[
            ("tenancy_id", Type::Integer),
            ("nhs_no", Type::Key),
            ("landlord", Type::Text),
            ("arrears", Type::Decimal),
            ("started_on", Type::Integer),
        ],
    },
];

/// What the safeguarding lead sees: consent is not asked, and keys may be NULL.
pub const SAFEGUARDING_LEAD: &[Table] = &[
    Table {
        name: "police.main.persons",
        unique: "person_id",
        key: "nhs_number",
        columns: &[
            ("person_id", Type::Integer),
            ("nhs_number", Type::Key),
            ("name", Type::Text),
            ("born_on", Type::Date),
            ("warning", Type::Text),
        ],
    },
    Table {
        name: "police.main.incidents",
        unique: "incident_id",
        key: "nhs_number",
        columns: &[
            ("incident_id", Type::Integer),
            ("nhs_number", Type::Key),
            ("kind", Type::Text),
            ("role", Type::Text),
            ("severity", Type::Integer),
            ("happened_at", Type::Timestamp),
        ],
    },
    Table {
        name: "social.main.clients",
        unique: "client_id",
        key: "nhs_number",
        columns: &[
            ("client_id", Type::Text),
            ("nhs_number", Type::Key),
            ("full_name", Type::Text),
            ("address", Type::Text),
        ],
    },
    Table {
        name: "health.main.patients",
        unique: "patient_id",
        key: "nhs_number",
        columns: &[("patient_id", Type::Integer), ("nhs_number", Type::Key), ("name", Type::Text), ("dob", Type::Date)],
    },
    Table {
        name: "housing.main.tenants",
        unique: "tenant_id",
        key: "nhs_no",
        columns: &[("tenant_id", Type::Integer), ("nhs_no", Type::Key), ("name", Type::Text), ("postcode", Type::Text)],
    },
];

const KEYS: [&str; 12] = [
    "9010001016",
    "9020000020",
    "9050000053",
    "9110000119",
    "9140000141",
    "9150000152",
    "9350000350",
    "9370000372",
    // Refused, another written form, a wrong check digit, nothing.
    "9030000031",
    "901 000 1016",
    "9010001017",
    "",
];
const TEXTS: [&str; 24] = [
    "Smith",
    "smith",
    "SMITH",
    "Smith ",
    "",
    " ",
    "visit",
    "Visit",
    "visit ",
    "admission",
    "Chelston",
    "chelston",
    "Chelston ",
    "North",
    "North ",
    "TQ1",
    "tq1",
    "F",
    "home care",
    "memory",
    "O'Brien, Siân",
    "Zoë",
    "a landlord",
    "***101",
];
const PATTERNS: [&str; 16] = [
    "S%",
    "s%",
    "%mith",
    "%mith_",
    "%",
    "",
    "_",
    "%ë",
    "visit%",
    "Ng\\_100\\%",
    "Ng_100%",
    "%1%",
    "***%",
    "N_rth%",
    "%a%e%",
    "back\\\\slash",
];
const INTEGERS: [&str; 12] = ["0", "1", "3", "7", "9", "40", "250", "-1", "105", "118", "2020", "2147483647"];
const DECIMALS: [&str; 9] = ["0", "0.1", "0.10", "0.3", "20.00", "35", "1200.5", "99999999.99", "-3.1"];
const DATES: [&str; 8] =
    ["1940-01-31", "1944-02-29", "1953-01-13", "1970-01-01", "2000-02-29", "2026-01-05", "2026-03-01", "2026-04-04"];

const MOMENTS: [&str; 4] = ["2026-01-01 00:00:00", "2026-02-01 12:30:00", "2026-03-01 23:59:59", "2026-03-02 00:00:01"];

/// A table in a FROM clause.
#[derive(Clone, Copy)]
struct Source {
    alias: &'static str,
    table: &'static Table,
}

impl Source {
    fn key(&self) -> String {
        format!("{}.{}", self.alias, self.table.key)
    }

    fn unique(&self) -> String {
        format!("{}.{}", self.alias, self.table.unique)
    }

    fn declared(&self) -> String {
        format!("{} AS {}", self.table.name, self.alias)
    }
}

pub struct Generator {
    tables: &'static [Table],
    state: u64,
}

impl Generator {
    pub fn new(tables: &'static [Table], seed: u64) -> Self {
        Self { tables, state: seed }
    }

    /// SplitMix64 (Steele, Lea, Flood, 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn query(&mut self) -> Query {
        match self.below(15) {
            0 | 1 => self.rows_of_one(),
            2..=4 => self.joined(),
            5 | 6 => self.grouped(),
            7 => self.membership(),
            8 => self.set_operation(),
            9 => self.nested(),
            10 => self.disjunction(),
            11 => self.beside_one_row(),
            12 => self.grouped_by_sets(),
            _ => self.windowed(),
        }
    }

    /// A table of the same agency, so that one source may answer both.
    fn beside(&mut self, source: Source, alias: &'static str) -> Source {
        let agency = source.table.name.split('.').next().unwrap();
        let tables: Vec<&'static Table> = self.tables.iter().filter(|table| table.name.starts_with(agency)).collect();
        Source { alias, table: tables[self.below(tables.len())] }
    }

    /// Membership that decides together with something else.
    fn disjunction(&mut self) -> Query {
        let source = self.source("a");
        let other = if self.once_in(3) { self.source("b") } else { self.beside(source, "b") };
        let (key, among) = (source.key(), other.key());
        let outputs = self.outputs(&[source]);
        let (alone, clause) = (self.comparison(&[source]), self.where_clause(&[other]));
        let inner =
            format!("SELECT 1 FROM {} WHERE {among} = {key} AND {}", other.declared(), self.comparison(&[other]));
        let member = match self.below(3) {
            0 => format!("{key} IN (SELECT {among} FROM {}{clause})", other.declared()),
            1 => format!("EXISTS ({inner})"),
            _ => format!("NOT EXISTS ({inner})"),
        };
        let word = self.pick(&["OR", "AND"]);
        let sql = format!("SELECT {outputs} FROM {} WHERE {alone} {word} {member}", source.declared());
        Query { sql, ordered: false }
    }

    /// Rows beside the one row of an aggregate.
    fn beside_one_row(&mut self) -> Query {
        let source = self.source("a");
        let other = self.beside(source, "b");
        let clause = self.where_clause(&[other]);
        let (column, kind) = self.column(&[other], None);
        let aggregate = format!("SELECT {}({column}) FROM {}{clause}", self.pick(&["min", "max"]), other.declared());
        let outputs = self.outputs(&[source]);
        let sql = match self.below(3) {
            0 => format!("SELECT {outputs}, ({aggregate}) AS one FROM {}", source.declared()),
            1 => format!("SELECT {outputs}, one.* FROM {} CROSS JOIN ({aggregate}) AS one", source.declared()),
            _ => {
                let (own, _) = self.column(&[source], Some(kind));
                let op = self.pick(&["=", "<>", "<", ">="]);
                format!("SELECT {outputs} FROM {} WHERE {own} {op} ({aggregate})", source.declared())
            }
        };
        Query { sql, ordered: false }
    }

    fn grouped_by_sets(&mut self) -> Query {
        let source = self.source("a");
        let (first, second) = (self.column(&[source], None).0, self.column(&[source], None).0);
        let clause = self.where_clause(&[source]);
        let sets = match self.below(4) {
            _ if first == second => format!("ROLLUP ({first})"),
            0 => format!("ROLLUP ({first}, {second})"),
            1 => format!("CUBE ({first}, {second})"),
            2 => format!("GROUPING SETS (({first}), ({second}))"),
            _ => format!("GROUPING SETS (({first}, {second}), ({second}), ())"),
        };
        let counted = self.column(&[source], None).0;
        let sql = format!(
            "SELECT {first} AS g1, {second} AS g2, count(*) AS n, count({counted}) AS v FROM {}{clause} GROUP BY {sets}",
            source.declared()
        );
        Query { sql, ordered: false }
    }

    /// Window functions over an order that leaves no two rows in doubt, but for those that give equal rows the same.
    fn windowed(&mut self) -> Query {
        let source = self.source("a");
        let clause = self.where_clause(&[source]);
        let (column, partition) = (self.column(&[source], None).0, self.column(&[source], None).0);
        let (loose, total) =
            (format!("{column}{}", self.direction()), format!("{}{}", source.unique(), self.direction()));
        let value = self.column(&[source], None).0;
        let frame = self.pick(&[
            "",
            " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
        ]);
        let over = if self.once_in(2) { format!("PARTITION BY {partition} ORDER BY") } else { "ORDER BY".to_owned() };
        let call = match self.below(8) {
            0 => format!("row_number() OVER ({over} {loose}, {total})"),
            1 => format!("rank() OVER ({over} {loose})"),
            2 => format!("dense_rank() OVER ({over} {loose})"),
            3 => format!("ntile(3) OVER ({over} {total})"),
            4 => format!("lag({value}) OVER ({over} {total})"),
            5 => {
                format!("{}({value}) OVER ({over} {total}{frame})", self.pick(&["first_value", "last_value", "count"]))
            }
            6 => format!(
                "{}({value}) OVER ({over} {loose}{frame_of_peers})",
                self.pick(&["min", "max", "count"]),
                frame_of_peers = if frame.contains("ROWS") { "" } else { frame }
            ),
            _ => format!("count(*) OVER (PARTITION BY {partition})"),
        };
        let rows =
            format!("SELECT {} AS u, {value} AS v, {call} AS w FROM {}{clause}", source.unique(), source.declared());
        let sql = match self.below(3) {
            0 => format!("SELECT w, count(*) AS n FROM ({rows}) AS t GROUP BY w"),
            1 if call.starts_with("row_number") || call.contains("rank") => {
                format!("SELECT u, v FROM ({rows}) AS t WHERE w <= 2")
            }
            _ => rows,
        };
        Query { sql, ordered: false }
    }

    fn source(&mut self, alias: &'static str) -> Source {
        let table = self.below(self.tables.len());
        Source { alias, table: &self.tables[table] }
    }

    fn rows_of_one(&mut self) -> Query {
        let source = self.source("a");
        let distinct = if self.once_in(5) { "DISTINCT " } else { "" };
        let outputs = self.outputs(&[source]);
        let clause = self.where_clause(&[source]);
        if distinct.is_empty() {
            let order = self.order(&[source]);
            return Query {
                sql: format!("SELECT {outputs} FROM {}{clause}{order}", source.declared()),
                ordered: !order.is_empty(),
            };
        }
        Query { sql: format!("SELECT DISTINCT {outputs} FROM {}{clause}", source.declared()), ordered: false }
    }

    fn joined(&mut self) -> Query {
        let mut sources = vec![self.source("a"), self.source("b")];
        if self.once_in(3) {
            sources.push(self.source("c"));
        }
        let from = self.join(&sources);
        let outputs = self.outputs(&sources);
        let clause = self.where_clause(&sources);
        let order = self.order(&sources);
        Query { sql: format!("SELECT {outputs} FROM {from}{clause}{order}"), ordered: !order.is_empty() }
    }

    fn join(&mut self, sources: &[Source]) -> String {
        let mut from = sources[0].declared();
        for (position, source) in sources.iter().enumerate().skip(1) {
            let kind = self.pick(&["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
            let partner = sources[self.below(position)];
            let mut on = format!("{} = {}", partner.key(), source.key());
            // A full join is on keys alone: what else DataFusion joins so it refuses.
            if kind != "FULL JOIN" && self.once_in(4) {
                let one = if self.once_in(2) { *source } else { partner };
                on = format!("{on} AND {}", self.comparison(&[one]));
            }
            from = format!("{from} {kind} {} ON {on}", source.declared());
        }
        from
    }

    fn grouped(&mut self) -> Query {
        let mut sources = vec![self.source("a")];
        if self.once_in(2) {
            sources.push(self.source("b"));
        }
        let from = self.join(&sources);
        let mut groups: Vec<String> = (0..self.below(3)).map(|_| self.column(&sources, None).0).collect();
        groups.sort();
        groups.dedup();
        let mut outputs = groups.clone();
        for number in 0..=self.below(3) {
            outputs.push(format!("{} AS o{number}", self.aggregate(&sources)));
        }
        let clause = self.where_clause(&sources);
        let grouping = if groups.is_empty() { String::new() } else { format!(" GROUP BY {}", groups.join(", ")) };
        let having = match (groups.is_empty(), self.below(4)) {
            (false, 0) => " HAVING count(*) > 1".to_owned(),
            (false, 1) => format!(" HAVING {} IS NOT NULL", self.aggregate(&sources)),
            _ => String::new(),
        };
        // A group is named by all of its columns.
        let ordered = !groups.is_empty() && self.once_in(2);
        let order = if ordered {
            let limit = if self.once_in(2) { format!(" LIMIT {}", self.below(5)) } else { String::new() };
            let keys: Vec<String> = groups.iter().map(|group| format!("{group}{}", self.direction())).collect();
            format!(" ORDER BY {}{limit}", keys.join(", "))
        } else {
            String::new()
        };
        Query { sql: format!("SELECT {} FROM {from}{clause}{grouping}{having}{order}", outputs.join(", ")), ordered }
    }

    fn aggregate(&mut self, sources: &[Source]) -> String {
        let (column, kind) = self.column(sources, None);
        let numeric = matches!(kind, Type::Integer | Type::Decimal);
        match self.below(12) {
            0 => "count(*)".to_owned(),
            1 => format!("count({column})"),
            2 => format!("count(DISTINCT {column})"),
            3 => format!("min({column})"),
            4 => format!("max({column})"),
            5 if numeric => format!("sum({column})"),
            6 if numeric => format!("avg({column})"),
            7 => format!("count(*) FILTER (WHERE {})", self.comparison(sources)),
            // Calls that take NULL for a value count rows that an outer join made up.
            8 => format!("count(*) FILTER (WHERE {column} IS NULL)"),
            9 if numeric => format!("sum(coalesce({column}, 1))"),
            9 => format!("count({column} IS NULL)"),
            10 => format!("sum(CASE WHEN {} THEN 1 ELSE 0 END)", self.comparison(sources)),
            11 => format!("max(CASE WHEN {column} IS NULL THEN 1 ELSE 0 END)"),
            _ => format!("count({column}) + 1"),
        }
    }

    /// Semi- and anti-joins, in each way of writing them.
    fn membership(&mut self) -> Query {
        let (outer, inner) = (self.source("a"), self.source("b"));
        let inside = self.predicate(&[inner], 1);
        let negated = if self.once_in(2) { "NOT " } else { "" };
        let condition = match self.below(3) {
            0 => {
                format!("{} {negated}IN (SELECT {} FROM {} WHERE {inside})", outer.key(), inner.key(), inner.declared())
            }
            1 => format!(
                "{negated}EXISTS (SELECT 1 FROM {} WHERE {} = {} AND {inside})",
                inner.declared(),
                inner.key(),
                outer.key()
            ),
            _ => format!(
                "(SELECT count(*) FROM {} WHERE {} = {}) > {}",
                inner.declared(),
                inner.key(),
                outer.key(),
                self.below(2)
            ),
        };
        let condition =
            if self.once_in(2) { format!("{condition} AND {}", self.comparison(&[outer])) } else { condition };
        let outputs = self.outputs(&[outer]);
        let order = self.order(&[outer]);
        Query {
            sql: format!("SELECT {outputs} FROM {} WHERE {condition}{order}", outer.declared()),
            ordered: !order.is_empty(),
        }
    }

    fn set_operation(&mut self) -> Query {
        let (left, right) = (self.source("a"), self.source("b"));
        let word = self.pick(&["UNION ALL", "UNION", "INTERSECT", "EXCEPT"]);
        let wanted = self.pick(&[Type::Key, Type::Text]);
        let mut half = |source: Source| {
            let (column, _) = self.column(&[source], Some(wanted));
            format!("SELECT {column} AS v FROM {}{}", source.declared(), self.where_clause(&[source]))
        };
        let (left, right) = (half(left), half(right));
        let sql = format!("{left} {word} {right}");
        if self.once_in(3) {
            return Query { sql: format!("SELECT v, count(*) FROM ({sql}) AS u GROUP BY v"), ordered: false };
        }
        Query { sql, ordered: false }
    }

    /// A filter, a grouping or a join above a derived table with a limit, a window function or an aggregate.
    fn nested(&mut self) -> Query {
        let source = self.source("a");
        let clause = self.where_clause(&[source]);
        let (column, kind) = self.column(&[source], None);
        let inner = match self.below(3) {
            0 => format!(
                "SELECT {} AS k, {column} AS v, {} AS n FROM {}{clause} ORDER BY {} LIMIT {} OFFSET {}",
                source.key(),
                source.unique(),
                source.declared(),
                source.unique(),
                self.below(12),
                self.below(3)
            ),
            1 => format!(
                "SELECT {key} AS k, {column} AS v, row_number() OVER (PARTITION BY {key} ORDER BY {unique}) AS n FROM {}{clause}",
                source.declared(),
                key = source.key(),
                unique = source.unique()
            ),
            _ => format!(
                "SELECT {key} AS k, max({column}) AS v, count(*) AS n FROM {}{clause} GROUP BY {key}",
                source.declared(),
                key = source.key()
            ),
        };
        let filter = match self.below(3) {
            0 => format!("v {} {}", self.pick(&["=", "<>", ">"]), self.constant(kind)),
            1 => "v IS NOT NULL".to_owned(),
            _ => format!("k <> {}", self.constant(Type::Key)),
        };
        let sql = match self.below(3) {
            0 => format!("SELECT k, v, n FROM ({inner}) AS d WHERE {filter}"),
            1 => format!("WITH d AS ({inner}) SELECT v, count(*) FROM d WHERE {filter} GROUP BY v"),
            _ => {
                let other = self.source("b");
                format!(
                    "WITH d AS ({inner}) SELECT d.k, d.n, {} FROM d JOIN {} ON d.k = {}",
                    other.unique(),
                    other.declared(),
                    other.key()
                )
            }
        };
        Query { sql, ordered: false }
    }

    fn column(&mut self, sources: &[Source], wanted: Option<Type>) -> (String, Type) {
        let fitting: Vec<(&str, &str, Type)> = sources
            .iter()
            .flat_map(|source| source.table.columns.iter().map(|(name, kind)| (source.alias, *name, *kind)))
            .filter(|(_, _, kind)| wanted.is_none_or(|wanted| wanted == *kind))
            .collect();
        let (alias, name, kind) = self.pick(&fitting);
        (format!("{alias}.{name}"), kind)
    }

    fn outputs(&mut self, sources: &[Source]) -> String {
        let mut outputs = Vec::new();
        for number in 0..=self.below(4) {
            let (column, kind) = self.column(sources, None);
            let expr = match (self.below(8), kind) {
                (0, Type::Text | Type::Key) => format!("coalesce({column}, 'none')"),
                (0, Type::Integer) => format!("{column} + 1"),
                (0, Type::Decimal) => format!("{column} * 2"),
                (1, Type::Text) => format!("upper({column})"),
                (1, Type::Integer) => format!("{column} / 2"),
                (1, Type::Date | Type::Timestamp) => format!("extract(year FROM {column})"),
                (2, _) => format!("CASE WHEN {} THEN {column} END", self.comparison(sources)),
                (3, _) => format!("{column} IS NULL"),
                _ => column,
            };
            outputs.push(format!("{expr} AS o{number}"));
        }
        outputs.join(", ")
    }

    fn where_clause(&mut self, sources: &[Source]) -> String {
        if self.once_in(4) { String::new() } else { format!(" WHERE {}", self.predicate(sources, 2)) }
    }

    fn order(&mut self, sources: &[Source]) -> String {
        if self.once_in(2) {
            return String::new();
        }
        let mut keys = Vec::new();
        if self.once_in(2) {
            keys.push(format!("{}{}", self.column(sources, None).0, self.direction()));
        }
        for source in sources {
            keys.push(format!("{}{}", source.unique(), self.direction()));
        }
        let limit = match self.below(4) {
            0 => format!(" LIMIT {}", self.below(8)),
            1 => format!(" LIMIT {} OFFSET {}", self.below(8), self.below(5)),
            2 => format!(" OFFSET {}", self.below(4)),
            _ => String::new(),
        };
        format!(" ORDER BY {}{limit}", keys.join(", "))
    }

    fn direction(&mut self) -> &'static str {
        self.pick(&["", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST", " NULLS LAST"])
    }

    fn predicate(&mut self, sources: &[Source], depth: usize) -> String {
        if depth == 0 {
            return self.comparison(sources);
        }
        match self.below(6) {
            0 => format!("({} AND {})", self.predicate(sources, depth - 1), self.predicate(sources, depth - 1)),
            1 | 2 => format!("({} OR {})", self.predicate(sources, depth - 1), self.predicate(sources, depth - 1)),
            3 => format!("NOT ({})", self.predicate(sources, depth - 1)),
            _ => self.comparison(sources),
        }
    }

    fn comparison(&mut self, sources: &[Source]) -> String {
        let (column, kind) = self.column(sources, None);
        match self.below(11) {
            0 => format!("{column} IS NULL"),
            1 => format!("{column} IS NOT NULL"),
            2 => format!(
                "{column} {}IN ({}, {}, {})",
                self.not(),
                self.constant(kind),
                self.constant(kind),
                self.constant(kind)
            ),
            3 => format!("{column} {}BETWEEN {} AND {}", self.not(), self.constant(kind), self.constant(kind)),
            4 | 5 if matches!(kind, Type::Text | Type::Key) => {
                format!("{column} {}LIKE {}", self.not(), quoted(self.pick(&PATTERNS)))
            }
            6 => {
                let (other, _) = self.column(sources, Some(kind));
                format!("{column} {} {other}", self.pick(&["=", "<>", "<=", ">"]))
            }
            7 => format!("coalesce({column} = {}, FALSE)", self.constant(kind)),
            // In parentheses: the parser reads an AND after it as part of its right side.
            8 => format!("({column} IS {}DISTINCT FROM {})", self.not(), self.constant(kind)),
            9 => format!("CASE WHEN {column} IS NULL THEN TRUE ELSE {column} <> {} END", self.constant(kind)),
            _ => format!("{column} {} {}", self.pick(&["=", "=", "<>", "<", "<=", ">", ">="]), self.constant(kind)),
        }
    }

    fn not(&mut self) -> &'static str {
        if self.once_in(3) { "NOT " } else { "" }
    }

    fn constant(&mut self, kind: Type) -> String {
        match kind {
            Type::Key => quoted(self.pick(&KEYS)),
            Type::Text => quoted(self.pick(&TEXTS)),
            Type::Integer => self.pick(&INTEGERS).to_owned(),
            Type::Decimal => self.pick(&DECIMALS).to_owned(),
            Type::Date => format!("DATE '{}'", self.pick(&DATES)),
            Type::Timestamp => format!("TIMESTAMP '{}'", self.pick(&MOMENTS)),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn the_same_seed_makes_the_same_query() {
    let sql = |seed| Generator::new(SOCIAL_WORKER, seed).query().sql;
    assert_eq!(sql(7), sql(7));
    assert_ne!(sql(7), sql(8));
}
