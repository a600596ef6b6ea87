"""mssql-python, Microsoft's own driver, reads every type, long values, errors, parameters and transactions."""

import datetime
import decimal
import sys
import uuid

import mssql_python

port = int(sys.argv[1])


def connect(password="Passw0rd!", **options):
    return mssql_python.connect(
        f"Server=127.0.0.1,{port};Database=care;UID=wayleave;PWD={password};Encrypt=yes;TrustServerCertificate=yes;",
        **options,
    )


connection = connect(autocommit=True)
cursor = connection.cursor()
cursor.execute("SELECT * FROM dbo.everything ORDER BY id")
columns = [column[0] for column in cursor.description]
first, second, nulls = [dict(zip(columns, row)) for row in cursor.fetchall()]
assert first["c_bigint"] == -(2**63) and second["c_bigint"] == 2**63 - 1
assert second["c_bit"] is True and second["c_tinyint"] == 255 and first["c_smallint"] == -32768
assert first["c_float"] == -1.79e308
assert second["c_decimal"] == decimal.Decimal("9999999999999999999999999999.9999999999"), second["c_decimal"]
assert first["c_money"] == decimal.Decimal("-922337203685477.5808"), first["c_money"]
assert second["c_smallmoney"] == decimal.Decimal("214748.3647")
assert first["c_date"] == datetime.date(1, 1, 1) and second["c_date"] == datetime.date(9999, 12, 31)
assert second["c_datetime2_3"] == datetime.datetime(9999, 12, 31, 23, 59, 59, 999000)
assert first["c_datetime"] == datetime.datetime(1753, 1, 1)
assert second["c_smalldatetime"] == datetime.datetime(2079, 6, 6, 23, 59)
assert first["c_char"] == "a    " and second["c_varchar"] == "€uro"
assert second["c_nvarchar"] == "😀" and second["c_ntext"] == "日本" and second["c_xml"] == "<a>ж</a>"
assert first["c_binary"] == b"\0\0\0\0" and second["c_varbinary"] == b"\0\xff" and second["c_image"] == b"\xab"
assert second["c_guid"] == uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
assert nulls.pop("id") == 3 and set(nulls.values()) == {None}

cursor.execute("SELECT REPLICATE(CAST(N'ж' AS nvarchar(max)), 500000) AS n")
assert cursor.fetchone()[0] == "ж" * 500000
long = "å" * 300000
cursor.execute("SELECT ? AS a, ? AS b, ? AS c, ? AS d", (long, 2**40, None, decimal.Decimal("-1.25")))
assert list(cursor.fetchone()) == [long, 2**40, None, decimal.Decimal("-1.25")]

try:
    cursor.execute("SELECT 1/0 AS x")
    cursor.fetchall()
except mssql_python.Error as error:
    assert "Divide by zero" in str(error), error
else:
    raise AssertionError("the division passed")
cursor.execute("SELECT 1 AS a; SELECT 2 AS b")
assert cursor.fetchone()[0] == 1 and cursor.nextset() and cursor.fetchone()[0] == 2
connection.close()

connection = connect()
cursor = connection.cursor()
cursor.execute("INSERT INTO dbo.everything (id) VALUES (?)", (98,))
connection.rollback()
cursor.execute("SELECT COUNT(*) FROM dbo.everything WHERE id = 98")
assert cursor.fetchone()[0] == 0
connection.close()

try:
    connect(password="wrong")
except Exception as error:
    assert "Login failed" in str(error), error
else:
    raise AssertionError("the wrong password was taken")
print("mssql-python is content")
