// Which methods of the SDK the tests called, and how their calls ended.

/** The areas of the SDK of which every method is called: its own names, nested ones with a dot. */
const AREAS = [
  'events', 'meters', 'subjects', 'features', 'portal', 'info', 'debug',
  'customers', 'customers.apps', 'customers.stripe', 'customers.entitlementsV1', 'customers.entitlements',
  'entitlements', 'entitlements.grants', 'entitlementsV1', 'entitlementsV1.grants',
]

const methodsOf = (area) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(area)).filter((name) => name !== 'constructor' && typeof area[name] === 'function')

const areaOf = (om, path) => path.split('.').reduce((value, name) => value[name], om)

/** Remembers how calls ended: `well`, or with which statuses. */
export class Calls {
  #ends = new Map()

  /** The client, whose calls are remembered from now on. */
  watch(om) {
    for (const path of AREAS) {
      const area = areaOf(om, path)
      for (const name of methodsOf(area)) {
        this.watchMethod(area, name, `${path}.${name}`)
      }
    }
    return om
  }

  /** The object, of which the calls of one method are remembered. */
  watchMethod(object, name, label) {
    const ends = this.#ends.get(label) ?? new Set()
    this.#ends.set(label, ends)
    const method = object[name].bind(object)
    object[name] = async (...values) => {
      try {
        const answer = await method(...values)
        ends.add('well')
        return answer
      } catch (error) {
        ends.add(error.status)
        throw error
      }
    }
    return object
  }

  /** How the calls of each method ended, by its label. */
  ends() {
    return new Map([...this.#ends].map(([label, ends]) => [label, [...ends]]))
  }
}
