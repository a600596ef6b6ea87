// node-postgres over the endpoint. Arguments: port and password.
const assert = require('node:assert');
const { Client } = require('pg');
const Cursor = require('pg-cursor');

async function main() {
  const [port, password] = process.argv.slice(2);
  const client = new Client({ host: '127.0.0.1', port: Number(port), user: 'sam', password, database: 'wayleave' });
  const told = [];
  client.on('notice', (notice) => told.push(notice.message));
  await client.connect();
  const all = 'SELECT nhs_number, name FROM health.patients WHERE name IS NOT NULL ORDER BY nhs_number, name';
  const { rows, fields } = await client.query(all);
  assert(rows.length > 2 && told.some((text) => text.includes('consent')));
  assert.deepStrictEqual(fields.map((field) => [field.name, field.dataTypeID]), [['nhs_number', 25], ['name', 25]]);
  const one = { name: 'one', text: 'SELECT count(*) AS n FROM health.patients WHERE name = $1', values: [rows[0].name] };
  for (let time = 0; time < 3; time++) assert((await client.query(one)).rows[0].n >= 1);
  const any = await client.query('SELECT count(*) AS n FROM health.patients WHERE name = ANY($1)', [[rows[0].name]]);
  assert(any.rows[0].n >= 1);
  const listed = await client.query('SELECT relname FROM pg_class WHERE relname = ANY($1)', [['patients']]);
  assert.deepStrictEqual(listed.rows, [{ relname: 'patients' }]);
  const cursor = client.query(new Cursor(all));
  assert.strictEqual((await cursor.read(2)).length, 2);
  await cursor.close();
  await assert.rejects(client.query('SELECT * FROM police.incidents'), (error) => error.code === '42501' && !!error.hint);
  assert.deepStrictEqual((await client.query('SELECT $1::int AS a, $2::text AS b', [7, null])).rows, [{ a: 7, b: null }]);
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
