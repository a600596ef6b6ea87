//! TPC-H's eight tables as three agencies keep them, and all together in one PostgreSQL database.
//!
//! Rows come from the `tpchgen` crate, which gives what the benchmark's own generator does. Types are those of the
//! specification, and what both kinds of database read exactly: `decimal(15, 2)`, `date`, blank-padded `char(n)`.
//! Everybody's tables have their primary keys and indexes on foreign keys. Each agency shares every column, on a statutory
//! basis, and lets the others be sent its keys.

use std::fmt::Write as _;
use std::path::Path;

use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use wayleave::session::{Identity, Session};
use wayleave_connector_testkit::PostgresServer;

/// The agencies, in the order of their tables.
pub const AGENCIES: [&str; 3] = ["orders", "parts", "customers"];

const PURPOSE: &str = "trade-statistics";

/// How much text goes to a server at once.
const PIECE_BYTES: usize = 1 << 20;

/// What an agency keeps its tables in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Postgres,
    Sqlite,
}

/// Which agency keeps its tables in what.
pub type Layout = [(&'static str, Database); 3];

pub const ORDERS_AND_PARTS_IN_POSTGRES: Layout =
    [("orders", Database::Postgres), ("parts", Database::Postgres), ("customers", Database::Sqlite)];

pub const CUSTOMERS_IN_POSTGRES: Layout =
    [("orders", Database::Sqlite), ("parts", Database::Sqlite), ("customers", Database::Postgres)];

struct Table {
    agency: &'static str,
    name: &'static str,
    /// Names and types, which both kinds of database read the same way.
    columns: &'static [(&'static str, &'static str)],
    primary_key: &'static str,
    indexes: &'static [&'static str],
    lines: fn(f64) -> Box<dyn Iterator<Item = String>>,
}

const TABLES: [Table; 8] = [
    Table {
        agency: "orders",
        name: "orders",
        columns: &[
            ("o_orderkey", "bigint"),
            ("o_custkey", "integer"),
            ("o_orderstatus", "char(1)"),
            ("o_totalprice", "decimal(15, 2)"),
            ("o_orderdate", "date"),
            ("o_orderpriority", "char(15)"),
            ("o_clerk", "char(15)"),
            ("o_shippriority", "integer"),
            ("o_comment", "varchar(79)"),
        ],
        primary_key: "o_orderkey",
        indexes: &["o_custkey"],
        lines: |scale| Box::new(OrderGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
    Table {
        agency: "orders",
        name: "lineitem",
        columns: &[
            ("l_orderkey", "bigint"),
            ("l_partkey", "integer"),
            ("l_suppkey", "integer"),
            ("l_linenumber", "integer"),
            ("l_quantity", "decimal(15, 2)"),
            ("l_extendedprice", "decimal(15, 2)"),
            ("l_discount", "decimal(15, 2)"),
            ("l_tax", "decimal(15, 2)"),
            ("l_returnflag", "char(1)"),
            ("l_linestatus", "char(1)"),
            ("l_shipdate", "date"),
            ("l_commitdate", "date"),
            ("l_receiptdate", "date"),
            ("l_shipinstruct", "char(25)"),
            ("l_shipmode", "char(10)"),
            ("l_comment", "varchar(44)"),
        ],
        primary_key: "l_orderkey, l_linenumber",
        indexes: &["l_partkey, l_suppkey", "l_suppkey"],
        lines: |scale| Box::new(LineItemGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
    Table {
        agency: "parts",
        name: "part",
        columns: &[
            ("p_partkey", "integer"),
            ("p_name", "varchar(55)"),
            ("p_mfgr", "char(25)"),
            ("p_brand", "char(10)"),
            ("p_type", "varchar(25)"),
            ("p_size", "integer"),
            ("p_container", "char(10)"),
            ("p_retailprice", "decimal(15, 2)"),
            ("p_comment", "varchar(23)"),
        ],
        primary_key: "p_partkey",
        indexes: &[],
        lines: |scale| Box::new(PartGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
    Table {
        agency: "parts",
        name: "supplier",
        columns: &[
            ("s_suppkey", "integer"),
            ("s_name", "char(25)"),
            ("s_address", "varchar(40)"),
            ("s_nationkey", "integer"),
            ("s_phone", "char(15)"),
            ("s_acctbal", "decimal(15, 2)"),
            ("s_comment", "varchar(101)"),
        ],
        primary_key: "s_suppkey",
        indexes: &["s_nationkey"],
        lines: |scale| Box::new(SupplierGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
    Table {
        agency: "parts",
        name: "partsupp",
        columns: &[
            ("ps_partkey", "integer"),
            ("ps_suppkey", "integer"),
            ("ps_availqty", "integer"),
            ("ps_supplycost", "decimal(15, 2)"),
            ("ps_comment", "varchar(199)"),
        ],
        primary_key: "ps_partkey, ps_suppkey",
        indexes: &["ps_suppkey"],
        lines: |scale| Box::new(PartSuppGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
    Table {
        agency: "customers",
        name: "customer",
        columns: &[
            ("c_custkey", "integer"),
            ("c_name", "varchar(25)"),
            ("c_address", "varchar(40)"),
            ("c_nationkey", "integer"),
            ("c_phone", "char(15)"),
            ("c_acctbal", "decimal(15, 2)"),
            ("c_mktsegment", "char(10)"),
            ("c_comment", "varchar(117)"),
        ],
        primary_key: "c_custkey",
        indexes: &["c_nationkey"],
        lines: |scale| Box::new(CustomerGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
    Table {
        agency: "customers",
        name: "nation",
        columns: &[
            ("n_nationkey", "integer"),
            ("n_name", "char(25)"),
            ("n_regionkey", "integer"),
            ("n_comment", "varchar(152)"),
        ],
        primary_key: "n_nationkey",
        indexes: &["n_regionkey"],
        lines: |scale| Box::new(NationGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
    Table {
        agency: "customers",
        name: "region",
        columns: &[("r_regionkey", "integer"), ("r_name", "char(25)"), ("r_comment", "varchar(152)")],
        primary_key: "r_regionkey",
        indexes: &[],
        lines: |scale| Box::new(RegionGenerator::new(scale, 1, 1).iter().map(|row| row.to_string())),
    },
];

/// The queries of `tests/tpch` with their validation parameters, by name.
pub fn queries() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tpch");
    let query = |number: u32| {
        let name = format!("q{number:02}");
        let file = directory.join(format!("{name}.sql"));
        let sql = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (name, sql)
    };
    (1..=22).map(query).collect()
}

/// Makes a database that holds everything, each agency's tables in a schema of the agency's name. Its `char(n)` are
/// `varchar(n)`: the blanks that PostgreSQL pads the former with are no part of the values that agencies answer with.
pub async fn fill_whole(server: &PostgresServer, database: &str, scale: f64) {
    server.create_database(database).await.unwrap();
    for agency in AGENCIES {
        server.execute(database, &format!("CREATE SCHEMA {agency}")).await.unwrap();
        let unpadded = |definition: String| definition.replace(" char(", " varchar(");
        fill_schema(server, database, agency, agency, scale, unpadded).await;
    }
}

/// Makes one agency's PostgreSQL database.
pub async fn fill_postgres(server: &PostgresServer, database: &str, agency: &str, scale: f64) {
    server.create_database(database).await.unwrap();
    fill_schema(server, database, "public", agency, scale, |definition| definition).await;
}

async fn fill_schema(
    server: &PostgresServer,
    database: &str,
    schema: &str,
    agency: &str,
    scale: f64,
    adapted: fn(String) -> String,
) {
    for table in tables_of(agency) {
        let name = format!("{schema}.{}", table.name);
        server.execute(database, &adapted(table.definition(&name))).await.unwrap();
        let copy = format!("COPY {name} FROM STDIN (DELIMITER '|')");
        server.copy_in(database, &copy, Pieces((table.lines)(scale))).await.unwrap();
        server.execute(database, &table.index_definitions(&name)).await.unwrap();
        server.execute(database, &format!("VACUUM ANALYZE {name}")).await.unwrap();
    }
}

/// Makes one agency's SQLite file.
pub fn fill_sqlite(file: &Path, agency: &str, scale: f64) {
    let mut connection = rusqlite::Connection::open(file).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY").unwrap();
    for table in tables_of(agency) {
        connection.execute_batch(&table.definition(table.name)).unwrap();
        let places = vec!["?"; table.columns.len()].join(", ");
        let transaction = connection.transaction().unwrap();
        {
            let sql = format!("INSERT INTO {} VALUES ({places})", table.name);
            let mut insert = transaction.prepare(&sql).unwrap();
            for line in (table.lines)(scale) {
                // The columns' affinities make numbers of the texts that are ones.
                insert.execute(rusqlite::params_from_iter(without_end(&line).split('|'))).unwrap();
            }
        }
        transaction.commit().unwrap();
        connection.execute_batch(&table.index_definitions(table.name)).unwrap();
    }
    connection.execute_batch("ANALYZE").unwrap();
}

/// Writes `wayleave.toml` and the policies. `location` gives each agency's URL or file.
pub fn write_deployment(root: &Path, layout: &Layout, location: impl Fn(&str) -> String) {
    let policies = root.join("policies");
    std::fs::create_dir_all(policies.join("agreements")).unwrap();
    std::fs::create_dir_all(root.join("audit")).unwrap();
    let mut config = String::from("policies = \"policies\"\n\n[audit]\ndirectory = \"audit\"\n");
    let mut shares = String::new();
    for (agency, database) in layout {
        let (connection, schema) = match database {
            Database::Postgres => ("connector = \"postgres\"\nurl", "public"),
            Database::Sqlite => ("connector = \"sqlite\"\npath", "main"),
        };
        writeln!(config, "\n[agency.{agency}]\n{connection} = {:?}", location(agency)).unwrap();
        let others: Vec<&str> = AGENCIES.into_iter().filter(|other| other != agency).collect();
        for table in tables_of(agency) {
            let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
            let name = table.name;
            writeln!(
                shares,
                "\n[[share]]\ntable = \"{agency}.{schema}.{name}\"\ncolumns = {columns:?}\ndisclose_keys_to = {others:?}",
            )
            .unwrap();
        }
    }
    std::fs::write(root.join("wayleave.toml"), config).unwrap();
    let purposes = format!("[purpose.{PURPOSE}]\ntitle = \"Statistics of trade\"\n");
    std::fs::write(policies.join("purposes.toml"), purposes).unwrap();
    let agreement = format!(
        "[agreement]\nid = \"TPC-H\"\ntitle = \"Statistics of trade\"\nowner = \"dpo@statistics.example\"\n\
         starts = 2026-01-01\nends = 2099-12-31\nreview_by = 2099-12-31\n\n\
         [basis]\npurpose = \"{PURPOSE}\"\narticle_6 = \"e\"\n\n\
         [[recipient]]\norganisation = \"statistics\"\nroles = [\"analyst\"]\n\n\
         [consent]\nmode = \"not-required\"\n\n\
         [require]\ncase_reference = true\nreason = true\n{shares}"
    );
    std::fs::write(policies.join("agreements/trade.toml"), agreement).unwrap();
}

/// Whoever asks.
pub fn session() -> Session {
    let mut session = Session::new(Identity::parse("ana@statistics/analyst").unwrap(), PURPOSE);
    session.case_reference = Some("TPC-H".to_owned());
    session.reason = Some("comparison with one database".to_owned());
    session
}

fn tables_of(agency: &str) -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(move |table| table.agency == agency)
}

impl Table {
    fn definition(&self, name: &str) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|(column, kind)| format!("{column} {kind} NOT NULL")).collect();
        format!("CREATE TABLE {name} ({}, PRIMARY KEY ({}))", columns.join(", "), self.primary_key)
    }

    fn index_definitions(&self, name: &str) -> String {
        let definition =
            |(number, columns): (usize, &&str)| format!("CREATE INDEX {}_{number} ON {name} ({columns});", self.name);
        self.indexes.iter().enumerate().map(definition).collect()
    }
}

/// Lines as large pieces of `COPY`'s text.
struct Pieces(Box<dyn Iterator<Item = String>>);

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut piece = Vec::with_capacity(PIECE_BYTES + 1024);
        while piece.len() < PIECE_BYTES {
            let Some(line) = self.0.next() else { break };
            piece.extend_from_slice(without_end(&line).as_bytes());
            piece.push(b'\n');
        }
        if piece.is_empty() { None } else { Some(piece) }
    }
}

/// The generator ends each column with a bar, the last one as well.
fn without_end(line: &str) -> &str {
    line.strip_suffix('|').unwrap_or(line)
}
