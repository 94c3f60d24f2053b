// @ts-check
// Installed as dist/start.cjs, what dist/backy runs: loads the program with what V8 compiled of it before. Node's own
// compile cache is made before a file runs, so it lacks every function that is compiled when it is first called, and
// those are half of a short command's time. Here the cache is made when a run ends. The build makes it by running
// commands one after the other (BACKY_TRAINING); where files are missing, for another Node.js say, a run adds them.
//
// The cache lives beside the program, never in a shared temporary folder: whoever may write to it decides what backy
// executes. A file that is cut, damaged or of another version of its script is not used: V8 itself would not notice all
// of that.
"use strict"
const fs = require("node:fs")
const { createRequire } = require("node:module")
const path = require("node:path")
const vm = require("node:vm")
const { crc32 } = require("node:zlib")

// V8 refuses what was compiled under other flags: the launcher has two sets. Whoever adds more does without.
const flags = process.execArgv.some((flag) => flag.startsWith("--heap-growing-percent=")) ? "thrift" : "plain"
const folder = path.join(__dirname, ".cache", `${process.version}-${process.arch}-${flags}`)
const requireOutside = createRequire(__filename)
const importOutside = (/** @type {string} */ url) => import(url)

/** @typedef {{ exports: unknown }} Module */
/** @typedef {(name: string) => unknown} Load */
/** @typedef {(exports: unknown, require: Load, module: Module, file: string, folder: string, importOutside: Load) => void} Body */

/** @type {Map<string, Module>} */
const modules = new Map()
/** What is to be kept when the run ends. @type {Array<{ file: string, checksum: number, script: vm.Script }>} */
const compiled = []

/** A file: CRC-32 of the script, CRC-32 of the rest, and the rest is V8's. */
const HEADER = 8

/**
 * @param {string} file
 * @param {number} checksum
 */
const cached = (file, checksum) => {
  let bytes
  try {
    bytes = fs.readFileSync(file)
  } catch {
    return undefined
  }
  if (bytes.length <= HEADER || bytes.readUInt32LE(0) !== checksum) return undefined
  const data = bytes.subarray(HEADER)
  return crc32(data) === bytes.readUInt32LE(4) ? data : undefined
}

/**
 * `require` for the files of the bundle, which lie side by side; all others are Node's to find.
 * @param {string} name
 * @returns {unknown}
 */
const load = (name) => {
  if (!name.startsWith("./")) return requireOutside(name)
  const known = modules.get(name)
  if (known !== undefined) return known.exports
  const filename = path.join(__dirname, name)
  /** @type {Module} */
  const module = { exports: {} }
  modules.set(name, module)
  // pure ASCII by the build, which one byte a character serves fastest
  const code = fs.readFileSync(filename, "latin1")
  const source = `(function(exports,require,module,__filename,__dirname,importOutside){${code}\n})`
  const file = path.join(folder, `${name.slice(2)}.compiled`)
  const checksum = crc32(source)
  const cachedData = cached(file, checksum)
  const script = new vm.Script(source, { filename, ...cachedData === undefined ? {} : { cachedData } })
  if (cachedData === undefined || process.env["BACKY_TRAINING"] !== undefined) {
    compiled.push({ file, checksum, script })
  }
  const body = /** @type {Body} */ (script.runInThisContext())
  body(module.exports, load, module, filename, __dirname, importOutside)
  return module.exports
}

process.on("exit", () => {
  try {
    if (compiled.length === 0) return
    fs.mkdirSync(folder, { recursive: true })
    for (const { checksum, file, script } of compiled) {
      const temporary = `${file}.${process.pid}`
      const descriptor = fs.openSync(temporary, "wx")
      try {
        const data = script.createCachedData()
        const header = Buffer.alloc(HEADER)
        header.writeUInt32LE(checksum, 0)
        header.writeUInt32LE(crc32(data), 4)
        fs.writevSync(descriptor, [header, data])
        fs.renameSync(temporary, file)
      } finally {
        fs.closeSync(descriptor)
        fs.rmSync(temporary, { force: true })
      }
    }
  } catch {
    // installed where this user may not write, or where there is no room: the program works without
  }
})

load("./main.cjs")
