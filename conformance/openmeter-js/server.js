// Starts the real `tallystick` binary on a free loopback port with a temporary data directory.
// The binary is $TALLYSTICK_BIN, or the debug build of this checkout (`cargo build -p tallystick-server`).

import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 30_000
const DEBUG_BUILD = fileURLToPath(new URL('../../target/debug/tallystick', import.meta.url))

export class Server {
  #process
  #exit
  #log = []

  /** Starts a server and returns it once it is ready. With a key, it is `server.key` and every request needs it. */
  static async start({ withKey = false } = {}) {
    const binary = resolve(process.env.TALLYSTICK_BIN || DEBUG_BUILD)
    if (!existsSync(binary)) {
      throw new Error(`${binary} is missing: run \`cargo build -p tallystick-server\` or set TALLYSTICK_BIN`)
    }
    const server = new Server()
    server.dataDir = await mkdtemp(join(tmpdir(), 'tallystick-js-'))
    const listen = `127.0.0.1:${await freePort()}`
    server.url = `http://${listen}`
    const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('TALLYSTICK_'))
    const env = Object.fromEntries(environment)
    if (withKey) {
      const create = ['keys', 'create', '--name', 'suite', '--scope', 'admin', '--data-dir', server.dataDir]
      server.key = execFileSync(binary, create, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    }
    server.#process = spawn(binary, ['serve', '--listen', listen, '--data-dir', server.dataDir], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    server.#exit = new Promise((done) => server.#process.once('exit', (code, signal) => done(code ?? signal)))
    for (const stream of [server.#process.stdout, server.#process.stderr]) {
      stream.on('data', (chunk) => server.#log.push(chunk))
    }
    await server.#ready()
    return server
  }

  async #ready() {
    const deadline = Date.now() + START_TIMEOUT_MS
    while (Date.now() < deadline) {
      if (this.#process.exitCode !== null) {
        throw new Error(`the server ended with code ${this.#process.exitCode}:\n${this.log()}`)
      }
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined)
      if (answer?.ok) return
      await sleep(20)
    }
    this.#process.kill('SIGKILL')
    throw new Error(`the server was not ready after ${START_TIMEOUT_MS} ms:\n${this.log()}`)
  }

  /** How many bytes the server wrote. */
  logSize() {
    return this.#log.reduce((size, chunk) => size + chunk.length, 0)
  }

  /** What the server wrote to stdout and stderr from a byte on. */
  log(since = 0) {
    return Buffer.concat(this.#log).subarray(since).toString()
  }

  /** Asks the server to end (SIGTERM), removes its data and returns its exit code. */
  async stop() {
    this.#process.kill('SIGTERM')
    const late = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS)
    const code = await this.#exit
    clearTimeout(late)
    await rm(this.dataDir, { recursive: true, force: true })
    return code
  }
}

function freePort() {
  return new Promise((done, failed) => {
    const probe = createServer()
    probe.once('error', failed)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => done(port))
    })
  })
}
