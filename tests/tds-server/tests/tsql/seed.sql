CREATE TABLE dbo.People (
    id int NOT NULL PRIMARY KEY,
    name nvarchar(40) NULL,
    born date NULL,
    town varchar(20) NULL,
    flag bit NULL
);
INSERT INTO dbo.People VALUES
    (1, N'Åsa', '1980-02-29', 'Leeds', 1),
    (2, N'bob', '1990-07-01', 'leeds', 0),
    (3, N'Bob', NULL, 'York', NULL),
    (4, NULL, '2001-12-31', NULL, 1);
GO
CREATE TABLE dbo.visits (
    visit int NOT NULL,
    person int NULL,
    cost decimal(10, 2) NULL,
    paid money NULL,
    seen datetime2(3) NULL,
    notes text NULL,
    code varchar(10) COLLATE Latin1_General_100_BIN2 NULL,
    CONSTRAINT PK_visits PRIMARY KEY (visit),
    CONSTRAINT FK_visits FOREIGN KEY (person) REFERENCES dbo.People (id)
);
INSERT INTO dbo.visits VALUES
    (10, 1, 12.50, 12.5, '2024-01-01T10:00:00', 'a', 'a'),
    (11, 1, 7.25, 7.25, '2024-01-02T11:30:00.5', NULL, 'A'),
    (12, 2, NULL, NULL, NULL, NULL, 'b'),
    (13, NULL, 100.00, 100, '2024-03-01T00:00:00', 'd', NULL);
GO
CREATE UNIQUE INDEX ux_visits ON dbo.visits (code, visit) WHERE code IS NOT NULL;
GO
CREATE SCHEMA social;
GO
CREATE TABLE social.[Order] ([select] int NOT NULL UNIQUE, [a ]]b] nvarchar(max) NULL);
GO
CREATE VIEW dbo.adults AS SELECT id, name FROM dbo.People WHERE born < '2000-01-01';
