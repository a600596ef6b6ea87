import java.sql.Connection;
import java.sql.Date;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** PostgreSQL's JDBC driver over the endpoint. Arguments: port and password. */
public class Jdbc {
    static void check(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(String.valueOf(what));
        }
    }

    static List<List<String>> rows(ResultSet result) throws SQLException {
        List<List<String>> rows = new ArrayList<>();
        while (result.next()) {
            List<String> row = new ArrayList<>();
            for (int at = 1; at <= result.getMetaData().getColumnCount(); at++) {
                row.add(result.getString(at));
            }
            rows.add(row);
        }
        return rows;
    }

    static List<String> column(ResultSet result, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        while (result.next()) {
            values.add(result.getString(name));
        }
        return values;
    }

    static void metadata(DatabaseMetaData about) throws SQLException {
        check(about.getDatabaseProductVersion().equals("15.0"), about.getDatabaseProductVersion());
        check(column(about.getCatalogs(), "TABLE_CAT").equals(List.of("wayleave")), "catalogs");
        check(column(about.getSchemas(), "TABLE_SCHEM").containsAll(List.of("health", "social", "unified")), "schemas");
        String[] kinds = {"TABLE", "VIEW"};
        List<String> tables = column(about.getTables(null, null, "%", kinds), "TABLE_NAME");
        check(tables.contains("patients") && tables.contains("clients") && !tables.contains("incidents"), tables);
        check(column(about.getTables(null, "health", "pat%", null), "REMARKS").get(0).contains("available"), "remarks");
        List<String> columns = column(about.getColumns(null, "health", "patients", "%"), "COLUMN_NAME");
        check(columns.contains("dob") && !columns.contains("deceased"), columns);
        check(column(about.getColumns(null, "health", "patients", "dob"), "TYPE_NAME").equals(List.of("date")), "type");
        check(rows(about.getPrimaryKeys(null, "health", "patients")).isEmpty(), "primary keys");
        check(rows(about.getImportedKeys(null, "health", "patients")).isEmpty(), "imported keys");
        check(rows(about.getExportedKeys(null, "health", "patients")).isEmpty(), "exported keys");
        check(rows(about.getCrossReference(null, "health", "patients", null, "health", "encounters")).isEmpty(), "cross");
        check(rows(about.getIndexInfo(null, "health", "patients", false, false)).isEmpty(), "indexes");
        check(rows(about.getBestRowIdentifier(null, "health", "patients", 0, true)).isEmpty(), "row identifier");
        check(column(about.getTypeInfo(), "TYPE_NAME").containsAll(List.of("bool", "int4", "text")), "types");
        check(column(about.getTablePrivileges(null, "health", "patients"), "PRIVILEGE").equals(List.of("SELECT")), "may");
        rows(about.getProcedures(null, null, "%"));
        rows(about.getProcedureColumns(null, null, "%", "%"));
        rows(about.getFunctions(null, null, "%"));
        rows(about.getFunctionColumns(null, null, "%", "%"));
        rows(about.getUDTs(null, null, "%", null));
        rows(about.getTableTypes());
        rows(about.getColumnPrivileges(null, "health", "patients", "%"));
        rows(about.getVersionColumns(null, "health", "patients"));
        rows(about.getClientInfoProperties());
        about.getSQLKeywords();
        check(about.getMaxColumnNameLength() == 63 && about.getMaxColumnsInIndex() == 32, "limits");
    }

    static void queries(Connection connection) throws SQLException {
        String all = "SELECT name, dob FROM health.patients WHERE name IS NOT NULL AND dob IS NOT NULL ORDER BY name, dob";
        Statement statement = connection.createStatement();
        List<List<String>> expected = rows(statement.executeQuery(all));
        check(expected.size() > 2, expected);
        check(statement.getWarnings().getMessage().contains("consent"), statement.getWarnings());
        connection.setAutoCommit(false);
        statement.setFetchSize(2);
        check(rows(statement.executeQuery(all)).equals(expected), "by two rows");
        connection.commit();
        Savepoint savepoint = connection.setSavepoint();
        try {
            statement.executeQuery("SELECT * FROM police.incidents");
            check(false, "what is not released was read");
        } catch (SQLException refusal) {
            check(refusal.getSQLState().equals("42501"), refusal);
            connection.rollback(savepoint);
        }
        connection.setAutoCommit(true);
        PreparedStatement prepared =
            connection.prepareStatement("SELECT name, dob FROM health.patients WHERE name = ? AND dob = ?");
        // After five times the driver asks a named statement, and in binary.
        for (int time = 0; time < 8; time++) {
            prepared.setString(1, expected.get(0).get(0));
            prepared.setDate(2, Date.valueOf(expected.get(0).get(1)));
            List<List<String>> found = rows(prepared.executeQuery());
            check(found.contains(expected.get(0)), found);
        }
        ResultSetMetaData columns = prepared.getMetaData();
        check(columns.getColumnTypeName(2).equals("date") && prepared.getParameterMetaData().getParameterCount() == 2, "");
        try (Statement slow = connection.createStatement()) {
            slow.setQueryTimeout(1);
            slow.executeQuery("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b");
            check(false, "a query without an end has ended");
        } catch (SQLException timeout) {
            check(timeout.getSQLState().equals("57014"), timeout);
        }
        connection.setReadOnly(true);
        connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
        check(connection.isValid(5) && connection.getSchema().equals("unified"), connection.getSchema());
    }

    public static void main(String[] arguments) throws SQLException {
        String url = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/wayleave";
        try (Connection connection = DriverManager.getConnection(url, "sam", arguments[1])) {
            metadata(connection.getMetaData());
            queries(connection);
        }
    }
}
