//! Functions and variables by which the server tells of itself and of the names in its catalog.

use super::literal::quoted;
use super::{Binder, not_run};
use crate::collation::Collation;
use crate::error::SqlError;
use crate::reserved;
use crate::sql_type::{Length, SYSNAME, SqlType};
use crate::typed::{Form, Typed};

const NVARCHAR_MAX: SqlType = SqlType::NVarChar(Length::Max, Collation::DEFAULT);

impl Binder<'_> {
    /// What the server says of itself, and of the names in its catalog.
    pub(super) fn bind_metadata_function(&self, name: &str, args: &[Typed]) -> Result<Typed, SqlError> {
        let argument =
            |position: usize| args.get(position).map(|arg| arg.sql.clone()).unwrap_or_else(|| "NULL".to_owned());
        let named = |position: usize| {
            args.get(position).map(|arg| arg.converted(NVARCHAR_MAX, 0)).unwrap_or_else(|| "NULL".to_owned())
        };
        let wide = SqlType::NVarChar(Length::Of(256), self.collation());
        match (name, args.len()) {
            ("DB_NAME", 0) | ("ORIGINAL_DB_NAME", 0) => Ok(Typed::new(quoted(self.database), SYSNAME)),
            ("DB_NAME", 1) => Ok(Typed::new(
                format!(
                    "(CASE {} WHEN 1 THEN 'master' WHEN 2 THEN 'tempdb' WHEN 5 THEN {} END)",
                    argument(0),
                    quoted(self.database)
                ),
                SYSNAME,
            )),
            ("DB_ID", 0) => Ok(Typed::new("5", SqlType::SmallInt)),
            ("DB_ID", 1) => Ok(Typed::new(
                format!("(CASE WHEN {} COLLATE tds_ci = {} THEN 5 END)", named(0), quoted(self.database)),
                SqlType::SmallInt,
            )),
            ("USER_NAME", 0) | ("CURRENT_USER", 0) | ("SESSION_USER", 0) => Ok(Typed::new("'dbo'", SYSNAME)),
            ("SUSER_SNAME", 0) | ("SUSER_NAME", 0) | ("SYSTEM_USER", 0) | ("ORIGINAL_LOGIN", 0) => {
                Ok(Typed::new("tds_session('login')", SYSNAME))
            }
            ("HOST_NAME", 0) => Ok(Typed::new("tds_session('host')", SYSNAME)),
            ("APP_NAME", 0) => Ok(Typed::new("tds_session('application')", SYSNAME)),
            ("SCHEMA_NAME", 0) => Ok(Typed::new("'dbo'", SYSNAME)),
            ("SCHEMA_NAME", 1) => Ok(Typed::new(format!("tds_catalog('schema_name',{})", argument(0)), SYSNAME)),
            ("SCHEMA_ID", 1) => Ok(Typed::new(format!("tds_catalog('schema_id',{})", named(0)), SqlType::Int)),
            ("OBJECT_ID", 1 | 2) => Ok(Typed::new(format!("tds_catalog('object_id',{})", named(0)), SqlType::Int)),
            ("OBJECT_NAME", 1) => Ok(Typed::new(format!("tds_catalog('object_name',{})", argument(0)), SYSNAME)),
            ("OBJECT_SCHEMA_NAME", 1) => {
                Ok(Typed::new(format!("tds_catalog('object_schema_name',{})", argument(0)), SYSNAME))
            }
            ("TYPE_NAME", 1) => Ok(Typed::new(format!("tds_catalog('type_name',{})", argument(0)), SYSNAME)),
            ("SERVERPROPERTY" | "DATABASEPROPERTYEX" | "CONNECTIONPROPERTY" | "SESSIONPROPERTY", 1 | 2) => {
                let property = args.last().map(|arg| arg.converted(NVARCHAR_MAX, 0)).unwrap_or_default();
                // sql_variant in SQL Server: what is asked is cast by those who ask well.
                Ok(Typed::new(format!("tds_session(upper({property}))"), wide))
            }
            ("HAS_DBACCESS" | "HAS_PERMS_BY_NAME" | "IS_SRVROLEMEMBER" | "IS_MEMBER" | "IS_ROLEMEMBER", 1..) => {
                Ok(Typed::new("1", SqlType::Int))
            }
            _ if reserved::is_valid_elsewhere(name, self.version) => Err(not_run(name)),
            _ => Err(SqlError::unknown_function(&name.to_ascii_lowercase())),
        }
    }

    /// `@@…`
    pub(super) fn bind_global_variable(&self, name: &str) -> Option<Typed> {
        let wide = SqlType::NVarChar(Length::Of(300), self.collation());
        let name = name.to_ascii_uppercase();
        let sql_type = match name.as_str() {
            "@@VERSION" | "@@SERVERNAME" | "@@LANGUAGE" | "@@SERVICENAME" => wide,
            "@@TRANCOUNT" | "@@ROWCOUNT" | "@@ERROR" | "@@MAX_PRECISION" | "@@OPTIONS" | "@@LOCK_TIMEOUT"
            | "@@TEXTSIZE" => SqlType::Int,
            "@@SPID" | "@@MICROSOFTVERSION" => SqlType::Int,
            "@@DATEFIRST" => SqlType::TinyInt,
            _ => return None,
        };
        Some(Typed {
            nullable: false,
            form: Form::Constant,
            ..Typed::new(format!("tds_session({})", quoted(&name)), sql_type)
        })
    }
}
