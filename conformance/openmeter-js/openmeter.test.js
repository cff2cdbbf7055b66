// The official SDK, as it is published, against a started server.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { HTTPError, OpenMeter, isHTTPError } from '@openmeter/sdk'
import { OpenMeter as Portal } from '@openmeter/sdk/portal'
import { Calls } from './calls.js'
import { Server } from './server.js'

const calls = new Calls()
let server
let om

before(async () => {
  server = await Server.start()
  om = calls.watch(new OpenMeter({ baseUrl: server.url }))
})

after(async () => {
  assert.equal(await server.stop(), 0, server.log())
})

/** A test that shows what the server logged when it fails. */
const check = (name, body) =>
  test(name, async () => {
    const since = server.logSize()
    try {
      await body()
    } catch (error) {
      console.error(server.log(since))
      throw error
    }
  })

let numbers = 0
/** A name that no other test uses: a slug and an event type at once. */
const unique = () => `t${++numbers}`

/** An event; a source of its own keeps its ids apart from those of other tests. */
const event = (type, id, time, data, subject = 'customer-1') => ({
  id,
  type,
  subject,
  source: type,
  time: new Date(time),
  data,
})

/** A customer's own page, which holds a token. */
const portalPage = (portalToken) => calls.watchMethod(new Portal({ baseUrl: server.url, portalToken }), 'query', 'portal page.query')

/** Expects the SDK's error with this status, and returns it. */
async function refused(status, call) {
  const error = await call.then(
    () => assert.fail('the call passed'),
    (failure) => failure,
  )
  assert.ok(isHTTPError(error) && error instanceof HTTPError, String(error))
  assert.equal(error.status, status, error.message)
  assert.equal(error.type, 'about:blank')
  assert.ok(error.title)
  assert.equal(error.getField('status'), status)
  return error
}

check('a single event with nothing but type and subject gets its defaults and counts', async () => {
  const type = unique()
  const started = Date.now()
  await om.events.ingest({ type, subject: 'customer-1' })
  await om.events.ingest({ type, subject: 'customer-1', data: { tokens: 1 } })
  await om.meters.create({ slug: type, aggregation: 'COUNT', eventType: type })
  const { data } = await om.meters.query(type)
  assert.deepEqual(data.map((row) => row.value), [2])
  const { items } = await om.events.listV2({ filter: JSON.stringify({ type: { $eq: type } }) })
  assert.equal(items.length, 2)
  for (const { event: stored, ingestedAt } of items) {
    assert.equal(stored.source, '@openmeter/sdk')
    assert.match(stored.id, /^[0-9a-f-]{36}$/)
    assert.ok(stored.time.getTime() >= started - 1000 && stored.time.getTime() <= Date.now() + 1000)
    assert.ok(ingestedAt instanceof Date)
  }
})

check('a batch counts once, however often it is sent', async () => {
  const type = unique()
  await om.meters.create({ slug: type, aggregation: 'SUM', eventType: type, valueProperty: '$.v' })
  const batch = Array.from({ length: 500 }, (_, index) => event(type, `${index}`, '2024-05-01T10:00:00Z', { v: index }))
  await om.events.ingest(batch)
  await Promise.all(Array.from({ length: 16 }, () => om.events.ingest(batch)))
  await om.events.ingest(event(type, '7', '2030-01-01T00:00:00Z', { v: 1_000_000 }))
  const { data } = await om.meters.query(type)
  assert.deepEqual(data.map((row) => row.value), [(499 * 500) / 2])
})

check('a bad event refuses its batch, by its place and field', async () => {
  const type = unique()
  await om.meters.create({ slug: type, aggregation: 'COUNT', eventType: type })
  const batch = [event(type, 'a', '2024-05-01T10:00:00Z'), { type, subject: '' }, event(type, 'b', '2024-05-01T10:00:00Z')]
  const error = await refused(400, om.events.ingest(batch))
  assert.match(error.message, /subject/)
  assert.match(error.message, /1/)
  assert.match(JSON.stringify(error.getField('extensions')), /subject/)
  await refused(400, om.events.ingest({ type, subject: 's', data: 'text' }))
  await refused(400, om.events.ingest({ type, subject: 's', time: 'yesterday' }))
  await refused(400, om.events.ingest({ type, subject: 's', specversion: '9.9' }))
  assert.deepEqual((await om.meters.query(type)).data.map((row) => row.value), [0])
})

check('a meter is created, listed, read, changed and deleted', async () => {
  const slug = unique()
  const created = await om.meters.create({
    slug,
    aggregation: 'SUM',
    eventType: 'prompt',
    valueProperty: '$.tokens',
    groupBy: { model: '$.model' },
    name: 'Tokens',
    description: 'All of them',
    metadata: { team: 'core' },
  })
  assert.equal(created.slug, slug)
  assert.ok(created.createdAt instanceof Date)
  assert.deepEqual(await om.meters.get(slug), created)
  assert.deepEqual(await om.meters.get(created.id), created)
  assert.deepEqual((await om.meters.list()).filter((meter) => meter.slug === slug), [created])
  const updated = await om.meters.update(slug, { name: 'Tokens, all', groupBy: { kind: '$.kind' } })
  assert.deepEqual([updated.name, updated.description, updated.groupBy], ['Tokens, all', 'All of them', { kind: '$.kind' }])
  await om.meters.delete(slug)
  assert.deepEqual((await om.meters.list()).filter((meter) => meter.slug === slug), [])
  await refused(404, om.meters.get(slug))
})

check('windows in a time zone, groups, subjects and filters', async () => {
  const type = unique()
  await om.meters.create({ slug: type, aggregation: 'SUM', eventType: type, valueProperty: '$.v', groupBy: { m: '$.m', p: '$.p' } })
  await om.events.ingest([
    event(type, '1', '2025-03-09T07:59:59.999Z', { v: 1, m: 'a', p: 'x' }),
    event(type, '2', '2025-03-09T08:00:00Z', { v: '2', m: 'a', p: 'x' }),
    event(type, '3', '2025-03-10T06:59:59Z', { v: 4, m: 'b', p: 'y' }, 'customer-2'),
    event(type, '4', '2025-03-10T07:00:00Z', { v: 8, m: 'b', p: 'y' }),
    event(type, '5', '2025-03-10T08:00:00Z', { v: 'none', m: 'b', p: 'y' }),
  ])
  const zone = 'America/Los_Angeles'
  const days = await om.meters.query(type, { windowSize: 'DAY', windowTimeZone: zone })
  assert.equal(days.windowSize, 'DAY')
  assert.deepEqual(
    days.data.map((row) => [row.windowStart.toISOString(), row.windowEnd.toISOString(), row.value]),
    [
      ['2025-03-08T08:00:00.000Z', '2025-03-09T08:00:00.000Z', 1],
      ['2025-03-09T08:00:00.000Z', '2025-03-10T07:00:00.000Z', 6],
      ['2025-03-10T07:00:00.000Z', '2025-03-11T07:00:00.000Z', 8],
    ],
  )
  const grouped = await om.meters.query(type, { groupBy: ['m', 'subject'] })
  assert.deepEqual(
    grouped.data.map((row) => [row.groupBy, row.subject, row.value]).sort((a, b) => a[2] - b[2]),
    [
      [{ m: 'a' }, 'customer-1', 3],
      [{ m: 'b' }, 'customer-2', 4],
      [{ m: 'b' }, 'customer-1', 8],
    ],
  )
  const from = new Date('2025-03-09T08:00:00Z')
  const to = new Date('2025-03-10T07:00:00Z')
  const ranged = await om.meters.query(type, { from, to, subject: ['customer-1', 'customer-2'] })
  assert.deepEqual([ranged.from, ranged.to], [from, to])
  assert.deepEqual(new Map(ranged.data.map((row) => [row.subject, row.value])), new Map([['customer-1', 2], ['customer-2', 4]]))
  const values = async (query) => (await om.meters.query(type, query)).data.map((row) => row.value)
  assert.deepEqual(await values({ filterGroupBy: { m: 'a' } }), [3])
  assert.deepEqual(await values({ filterGroupBy: { m: 'a', p: 'y' } }), [])
  assert.deepEqual(await values({ advancedMeterGroupByFilters: JSON.stringify({ m: { $ne: 'a' } }) }), [12])
  const posted = await om.meters.queryPost(type, { from, to, groupBy: ['m'], filterGroupBy: { m: ['a', 'b'] } })
  assert.deepEqual(new Map(posted.data.map((row) => [row.groupBy.m, row.value])), new Map([['a', 2], ['b', 4]]))
})

check('every aggregation', async () => {
  const type = unique()
  const expected = { SUM: 0.6, COUNT: 4, UNIQUE_COUNT: 2, AVG: 0.2, MIN: 0.1, MAX: 0.4, LATEST: 0.1 }
  await om.events.ingest(
    ['0.1', 0.1, '0.4', undefined].map((v, index) => event(type, `${9 - index}`, `2024-05-01T1${3 - index}:00:00Z`, { v })),
  )
  for (const [aggregation, value] of Object.entries(expected)) {
    const slug = `${type}_${aggregation.toLowerCase()}`
    const valueProperty = aggregation === 'COUNT' ? undefined : '$.v'
    await om.meters.create({ slug, aggregation, eventType: type, valueProperty })
    assert.deepEqual((await om.meters.query(slug)).data.map((row) => row.value), [value], aggregation)
  }
})

check('both listings, with filters and pages to the end', async () => {
  const type = unique()
  const now = Date.now()
  const events = Array.from({ length: 25 }, (_, index) => event(type, `e${index}`, now - index * 60_000, { n: index }, type))
  await om.events.ingest(events)
  const ids = events.map(({ id }) => id)
  assert.deepEqual((await om.events.list({ subject: type })).map((item) => item.event.id), ids)
  assert.deepEqual((await om.events.list({ subject: type, limit: 3 })).map((item) => item.event.id), ids.slice(0, 3))
  const filter = JSON.stringify({ type: { $eq: type }, id: { $nin: ['e0', 'e24'] } })
  const seen = []
  for (let cursor; ; ) {
    const page = await om.events.listV2({ filter, limit: 5, cursor })
    seen.push(...page.items.map((item) => item.event.id))
    cursor = page.nextCursor
    if (!cursor) break
  }
  assert.deepEqual(seen, ids.slice(1, -1))
})

check('subjects and values of a dimension', async () => {
  const type = unique()
  await om.meters.create({ slug: type, aggregation: 'COUNT', eventType: type, groupBy: { m: '$.m' } })
  await om.events.ingest(['b', 'a', 'b'].map((m) => ({ type, subject: `customer-${m}`, data: { m } })))
  assert.deepEqual(await om.meters.listGroupByValues(type, 'm'), ['a', 'b'])
})

check('errors are the SDK\'s, with status, title and detail', async () => {
  const slug = unique()
  const missing = await refused(404, om.meters.query(slug))
  assert.match(missing.message, new RegExp(`not found error: meter not found: ${slug}`))
  assert.equal(missing.title, 'Not Found')
  await om.meters.create({ slug, aggregation: 'COUNT', eventType: slug })
  const taken = await refused(409, om.meters.create({ slug, aggregation: 'COUNT', eventType: slug }))
  assert.match(taken.message, /slug/)
  for (const query of [
    { windowSize: 'WEEK' },
    { windowSize: 'DAY', windowTimeZone: 'Mars/Olympus' },
    { groupBy: ['nothing'] },
    { filterGroupBy: { nothing: 'a' } },
    { from: new Date('2024-05-02T00:00:00Z'), to: new Date('2024-05-01T00:00:00Z') },
  ]) {
    await refused(400, om.meters.query(slug, query))
  }
  await refused(400, om.meters.create({ slug: 'Not-A-Slug', aggregation: 'COUNT', eventType: slug }))
})

check('subjects are described, changed, listed and deleted', async () => {
  const key = `${unique()}/ü`
  const [made] = await om.subjects.upsert({ key, displayName: 'One', metadata: { plan: 'pro' } })
  assert.ok(made.createdAt instanceof Date)
  assert.deepEqual(await om.subjects.get(key), made)
  const changed = await om.subjects.upsert([{ key, displayName: null }, { key: `${key}2` }])
  assert.deepEqual(changed.map((subject) => [subject.displayName, subject.metadata]), [[undefined, { plan: 'pro' }], [undefined, {}]])
  assert.deepEqual((await om.subjects.list()).map((subject) => subject.key).filter((text) => text.startsWith(key)), [key, `${key}2`])
  await om.subjects.delete(key)
  await refused(404, om.subjects.get(key))
  assert.ok((await om.subjects.get(made.id)).deletedAt instanceof Date)
  await refused(400, om.subjects.upsert({ key: '' }))
  await refused(409, om.subjects.upsert([{ key }, { key }]))
})

check('features measure by a meter until they are archived', async () => {
  const slug = unique()
  await om.meters.create({ slug, aggregation: 'COUNT', eventType: slug, groupBy: { m: '$.m' } })
  const made = await om.features.create({ key: slug, name: 'F', meterSlug: slug, meterGroupByFilters: { m: 'a' } })
  assert.deepEqual(made.advancedMeterGroupByFilters, { m: { $eq: 'a' } })
  assert.deepEqual(await om.features.get(slug), made)
  assert.deepEqual(await om.features.list({ meterSlug: [slug] }), [made])
  const page = await om.features.list({ meterSlug: [slug], page: 1, pageSize: 1 })
  assert.deepEqual([page.totalCount, page.items], [1, [made]])
  await refused(409, om.features.create({ key: slug, name: 'G' }))
  await refused(400, om.features.create({ key: 'Not-A-Key', name: 'G' }))
  await refused(409, om.meters.delete(slug))
  await om.features.delete(made.id)
  await refused(404, om.features.get(slug))
  await om.meters.delete(slug)
})

check('meters, subjects and events refuse what is wrong with each call', async () => {
  const slug = unique()
  await om.meters.create({ slug, aggregation: 'COUNT', eventType: slug, groupBy: { m: '$.m' } })
  await refused(400, om.meters.update(slug, { groupBy: { 'not a name': '$.m' } }))
  await refused(404, om.meters.update(`${slug}_2`, { name: 'x' }))
  await refused(404, om.meters.delete(`${slug}_2`))
  await refused(400, om.meters.listGroupByValues(slug, 'n'))
  await refused(400, om.meters.queryPost(slug, { groupBy: ['n'] }))
  await refused(400, om.events.list({ limit: 1001 }))
  await refused(400, om.events.listV2({ filter: '{"type":{"$like":"x"}' }))
  await refused(404, om.subjects.delete(`${slug}-nobody`))
  await refused(404, om.features.delete(`${slug}_nothing`))
  await refused(400, om.features.list({ limit: 0 }))
})

check('a customer is created, found, replaced and deleted', async () => {
  const key = unique()
  const subjectKeys = [`${key}-1`, `${key}-2`]
  const customer = { name: 'Acme', key, currency: 'EUR', usageAttribution: { subjectKeys }, billingAddress: { city: 'Berlin', country: 'DE' } }
  const made = await om.customers.create({ ...customer, metadata: { team: 'core' } })
  assert.ok(made.createdAt instanceof Date)
  assert.deepEqual([made.key, made.currency, made.usageAttribution.subjectKeys], [key, 'EUR', subjectKeys])
  assert.deepEqual(await om.customers.get(key), made)
  assert.deepEqual(await om.customers.get(made.id), made)
  const found = await om.customers.list({ key, page: 1, pageSize: 10, order: 'DESC', orderBy: 'name' })
  assert.deepEqual([found.totalCount, found.items], [1, [made]])
  const changed = await om.customers.update(key, { ...customer, name: 'Acme 2', usageAttribution: { subjectKeys: [`${key}-2`] } })
  assert.deepEqual([changed.id, changed.name, changed.metadata, changed.usageAttribution.subjectKeys], [made.id, 'Acme 2', undefined, [`${key}-2`]])
  const other = { name: 'Other', key: `${key}-other` }
  const conflict = await refused(409, om.customers.create({ ...other, usageAttribution: { subjectKeys: [`${key}-2`] } }))
  assert.match(conflict.message, new RegExp(made.id))
  await refused(400, om.customers.create({ name: '', key }))
  await refused(400, om.customers.create({ ...other, currency: 'eur' }))
  await refused(404, om.customers.update(`${key}-nobody`, customer))
  await refused(400, om.customers.list({ orderBy: 'currency' }))
  await om.customers.delete(key)
  await refused(404, om.customers.get(key))
  await refused(404, om.customers.delete(`${key}-nobody`))
  assert.equal((await om.customers.list({ key, includeDeleted: true })).totalCount, 1)
})

check("a customer's usage is that of its subjects, also from before it was made", async () => {
  const type = unique()
  await om.meters.create({ slug: type, aggregation: 'SUM', eventType: type, valueProperty: '$.v' })
  await om.events.ingest([1, 2, 4].map((v, index) => event(type, `${index}`, '2024-05-01T10:00:00Z', { v }, `${type}-${index}`)))
  const { id } = await om.customers.create({ name: 'C', key: type, usageAttribution: { subjectKeys: [`${type}-0`, `${type}-2`] } })
  const { data } = await om.meters.query(type, { filterCustomerId: [id], groupBy: ['customer_id'] })
  assert.deepEqual(data.map((row) => [row.customerId, row.value]), [[id, 5]])
})

check('a query tells how far it is under the id of its client', async () => {
  const type = unique()
  await om.meters.create({ slug: type, aggregation: 'COUNT', eventType: type })
  await om.events.ingest(event(type, '1', '2024-05-01T10:00:00Z', {}))
  await om.meters.query(type, { clientId: type })
  const { success, failed, total, updatedAt } = await om.info.getProgress(type)
  assert.deepEqual([failed, success], [0, total])
  assert.ok(total >= 1 && updatedAt instanceof Date)
  await refused(404, om.info.getProgress(`${type}-none`))
})

check('the counts of today are shown', async () => {
  await om.events.ingest({ type: unique(), subject: 'customer-1' })
  // Without `parseAs`, this version of the SDK reads the published text as JSON.
  assert.match(await om.debug.getMetrics({ parseAs: 'text' }), /^openmeter_events_total\{.*\} \d+/m)
})

check('a customer without entitlements has access to nothing', async () => {
  const key = unique()
  await om.customers.create({ name: 'C', key })
  assert.deepEqual(await om.customers.getAccess(key), { entitlements: {} })
  assert.deepEqual(await om.customers.entitlementsV1.value(key, 'any'), { hasAccess: false })
  await refused(404, om.customers.getAccess(`${key}-nobody`))
  await refused(404, om.customers.entitlementsV1.value(`${key}-nobody`, 'any'))
})

/** A customer with two subjects and a feature of its own, and a metered entitlement to it as it is asked for. */
const entitled = async () => {
  const key = unique()
  await om.meters.create({ slug: key, aggregation: 'SUM', eventType: key, valueProperty: '$.v' })
  await om.features.create({ key, name: 'F', meterSlug: key })
  await om.customers.create({ key, name: 'C', usageAttribution: { subjectKeys: [`${key}-1`, `${key}-2`] } })
  // Measuring began two days ago, so that there is a past to change.
  const begin = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 48 * 3_600_000)
  const after = (hours) => new Date(begin.getTime() + hours * 3_600_000)
  const metered = { type: 'metered', featureKey: key, usagePeriod: { interval: 'YEAR', anchor: begin }, measureUsageFrom: begin }
  return { key, after, metered }
}

check('entitlements of customers are given, burned, reset, overridden and deleted', async () => {
  const { key, after, metered } = await entitled()
  const own = om.customers.entitlements
  const made = await own.create(key, { ...metered, issue: { amount: 100, priority: 6 } })
  assert.deepEqual([made.type, made.customerKey, made.issue, made.usagePeriod.intervalISO], ['metered', key, { amount: 100, priority: 6 }, 'P1Y'])
  const conflict = await refused(409, own.create(key, metered))
  assert.equal(conflict.getField('extensions').conflictingEntityId, made.id)
  await refused(400, own.create(key, { ...metered, issue: { amount: 1, priority: 0 } }))
  assert.equal((await own.list(key)).totalCount, 1)
  await refused(404, own.list(`${key}-nobody`))
  assert.equal((await own.get(key, key)).id, made.id)
  await refused(404, own.get(key, 'nothing'))
  assert.equal((await om.entitlements.get(made.id)).id, made.id)
  await refused(404, om.entitlements.get('01ARZ3NDEKTSV4RRFFQ69G5FAV'))
  assert.deepEqual((await om.entitlements.list({ query: { customerKeys: [key] } })).items.map(({ id }) => id), [made.id])
  await refused(400, om.entitlements.list({ query: { page: 0 } }))
  const grant = await own.createGrant(key, key, { amount: 50, effectiveAt: after(0), priority: 1, recurrence: { interval: 'P1W' } })
  assert.deepEqual([grant.maxRolloverAmount, grant.recurrence.interval, grant.expiration], [50, 'WEEK', undefined])
  const refusal = await refused(400, own.createGrant(key, key, { amount: 0, effectiveAt: after(0) }))
  assert.equal(refusal.getField('extensions').validationErrors[0].code, 'grant_amount_must_be_positive')
  assert.equal((await own.listGrants(key, key)).totalCount, 2)
  await refused(404, own.listGrants(key, 'nothing'))
  const all = await om.entitlements.grants.list({ query: { customer: [key] } })
  assert.deepEqual([all.page, all.pageSize, all.totalCount], [0, 0, 2])
  await refused(404, om.entitlements.grants.list({ query: { customer: [`${key}-nobody`] } }))
  await om.events.ingest(event(key, '1', after(1), { v: 60 }, `${key}-2`))
  const value = await own.value(key, key)
  assert.deepEqual([value.hasAccess, value.balance, value.usage, value.grantBalances[grant.id]], [true, 90, 60, 0])
  await refused(404, own.value(`${key}-nobody`, key))
  const access = await om.customers.getAccess(key)
  assert.equal(access.entitlements[key].balance, 90)
  assert.equal((await om.customers.entitlementsV1.value(key, key)).balance, 90)
  // A window that began before measuring did is left out.
  const history = await own.history(key, key, 'HOUR', { query: { windowSize: 'HOUR', from: after(0), to: after(48) } })
  assert.equal(history.windowedHistory.reduce((sum, row) => sum + row.usage, 0), 60)
  await refused(404, own.history(key, 'nothing', 'DAY', { query: { windowSize: 'DAY' } }))
  await om.entitlements.grants.void(grant.id)
  await refused(400, om.entitlements.grants.void(grant.id))
  await own.resetUsage(key, key, { effectiveAt: after(24) })
  await refused(400, own.resetUsage(key, key, { effectiveAt: after(1) }))
  assert.deepEqual([(await own.value(key, key)).usage, (await own.value(key, key)).balance], [0, 100])
  const next = await own.override(key, key, { type: 'static', featureKey: key, config: '{"a":1}' })
  assert.deepEqual([next.type, next.config, next.id === made.id], ['static', '{"a":1}', false])
  await refused(404, own.override(key, 'nothing', metered))
  await own.delete(key, key)
  await refused(404, own.delete(key, key))
})

check('entitlements by subject are those of its customer', async () => {
  const { key, after, metered } = await entitled()
  const v1 = om.entitlementsV1
  const made = await v1.create(`${key}-1`, { ...metered, issueAfterReset: 100 })
  assert.deepEqual([made.subjectKey, made.isUnlimited, made.issueAfterResetPriority], [`${key}-1`, false, 1])
  await refused(409, v1.create(`${key}-2`, metered))
  assert.equal((await v1.get(made.id)).id, made.id)
  await refused(404, v1.get('01ARZ3NDEKTSV4RRFFQ69G5FAV'))
  assert.deepEqual((await v1.list({ subject: [`${key}-2`] })).map(({ id }) => id), [made.id])
  await refused(400, v1.list({ limit: 0 }))
  const expiration = { duration: 'MONTH', count: 1 }
  const grant = await v1.grants.create(`${key}-2`, key, { amount: 50, effectiveAt: after(0), expiration })
  assert.deepEqual([grant.maxRolloverAmount, grant.expiration], [0, expiration])
  await refused(400, v1.grants.create(`${key}-2`, key, { amount: 50, effectiveAt: after(0) }))
  assert.deepEqual((await v1.grants.list(`${key}-1`, key)).map(({ amount }) => amount), [100, 50])
  await refused(404, v1.grants.list(`${key}-1`, 'nothing'))
  assert.equal((await v1.grants.listAll({ subject: [`${key}-1`] })).length, 2)
  await refused(400, v1.grants.listAll({ limit: 0 }))
  await om.events.ingest(event(key, '1', after(1), { v: 70 }, `${key}-1`))
  const { balance, usage, overage, totalAvailableGrantAmount } = await v1.value(`${key}-2`, key)
  assert.deepEqual({ balance, usage, overage, totalAvailableGrantAmount }, { balance: 80, usage: 70, overage: 0, totalAvailableGrantAmount: 150 })
  await refused(404, v1.value(`${key}-2`, 'nothing'))
  const history = await v1.history(`${key}-1`, made.id, { windowSize: 'DAY', from: after(0), to: after(48) })
  assert.ok(history.burndownHistory.length > 0 && history.windowedHistory.length > 0)
  await refused(400, v1.history(`${key}-1`, made.id, { windowSize: 'YEAR' }))
  await v1.grants.void(grant.id)
  await refused(404, v1.grants.void('01ARZ3NDEKTSV4RRFFQ69G5FAV'))
  await v1.reset(`${key}-1`, made.id, { effectiveAt: after(24) })
  await refused(400, v1.reset(`${key}-1`, made.id, { effectiveAt: after(1) }))
  const next = await v1.override(`${key}-1`, key, { type: 'boolean', featureKey: key })
  assert.equal(next.type, 'boolean')
  await refused(404, v1.override(`${key}-1`, 'nothing', metered))
  await v1.delete(`${key}-1`, next.id)
  await refused(404, v1.delete(`${key}-1`, next.id))
})

check('currencies begin with the most used', async () => {
  assert.deepEqual((await om.info.listCurrencies()).slice(0, 2).map(({ code, subunits }) => [code, subunits]), [['USD', 2], ['EUR', 2]])
})

check('a portal token opens one subject until it is invalidated', async () => {
  const slug = unique()
  await om.meters.create({ slug, aggregation: 'COUNT', eventType: slug })
  await om.events.ingest(['a', 'a', 'b'].map((subject, index) => event(slug, `${index}`, '2024-05-01T10:00:00Z', {}, `${slug}-${subject}`)))
  const made = await om.portal.create({ subject: `${slug}-a`, allowedMeterSlugs: [slug] })
  const page = portalPage(made.token)
  const rows = (await page.query(slug, { windowSize: 'DAY' })).data
  assert.deepEqual(rows.map((row) => [row.subject, row.value]), [[`${slug}-a`, 2]])
  await refused(400, page.query(slug, { filterCustomerId: ['01ARZ3NDEKTSV4RRFFQ69G5FAV'] }))
  assert.ok((await om.portal.list()).some((token) => token.id === made.id && token.token === undefined))
  await om.portal.invalidate({ subject: `${slug}-a` })
  await refused(401, page.query(slug))
  await refused(401, portalPage('a.b.c').query(slug))
  await refused(400, om.portal.create({ subject: '' }))
  await refused(400, om.portal.list({ limit: 0 }))
  await refused(400, om.portal.invalidate({}))
})

test('a server with keys opens to them and to nobody else', async () => {
  const closed = await Server.start({ withKey: true })
  try {
    const client = (apiKey) => calls.watch(new OpenMeter({ baseUrl: closed.url, apiKey }))
    const everything = [
      (om) => om.meters.list(),
      (om) => om.subjects.list(),
      (om) => om.info.listCurrencies(),
      (om) => om.debug.getMetrics({ parseAs: 'text' }),
      (om) => om.events.ingest({ type: 'x', subject: 'y' }),
    ]
    const owner = client(closed.key)
    for (const call of everything) {
      await call(owner)
      await refused(401, call(client('tsk_unknown')))
      await refused(401, call(client(undefined)))
    }
  } finally {
    assert.equal(await closed.stop(), 0, closed.log())
  }
})

check('every method of the areas that are served was called, well and badly; the others say that they are not', async () => {
  const missing = []
  for (const [label, ends] of calls.ends()) {
    if (ends.includes('well') && ends.some((end) => end !== 'well')) continue
    const status = ends.length === 0 ? await unserved(label) : undefined
    if (status !== 501) missing.push(`${label}: called with the ends ${JSON.stringify(ends)}, not served: ${status === 501}`)
  }
  assert.deepEqual(missing, [])
})

/** The status of a call with values that fit any operation that is not served. */
async function unserved(label) {
  const names = label.split('.')
  const method = names.pop()
  const area = names.reduce((value, name) => value[name], new OpenMeter({ baseUrl: server.url }))
  return area[method]('any', 'any', {}, {}).then(() => undefined, (error) => error.status)
}
