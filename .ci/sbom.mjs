// @ts-check
// Prints what the program is made of, as CycloneDX 1.5 JSON, from package-lock.json: `npm run --silent sbom`. Packages
// that are only needed to build and test it are left out, and so is the Node.js that a clone gets. The same lock file gives the same bytes.
import { readFileSync } from "node:fs"

const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"))
const { license, name, version } = lock.packages[""]

/** @param {string} name @param {string} version */
const purl = (name, version) => `pkg:npm/${name.replace(/^@/, "%40")}@${version}`

/**
 * @typedef {Record<string, string> | undefined} Names
 * @typedef {{ version: string, license?: string, integrity?: string, optional?: boolean, dependencies: Names,
 *   optionalDependencies: Names, peerDependencies: Names }} Entry
 */
/** @type {Record<string, Entry>} */
const packages = lock.packages

/** Bundled into the program; a library user has no need of them, so they are no dependencies of the package. */
const bundled = ["@effect/cli", "@effect/printer", "@effect/printer-ansi"]

/** The places of all that an entry needs, as Node.js finds it: beside it, or further up. @type {Set<string>} */
const needed = new Set()
/** @param {string} place @param {Iterable<string>} names */
const need = (place, names) => {
  for (const name of names) {
    for (let folder = place;; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
      const found = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`
      const entry = packages[found]
      if (entry !== undefined) {
        if (!needed.has(found)) {
          needed.add(found)
          need(found, namesOf(entry))
        }
        break
      }
      // a peer that may be absent
      if (folder === "") break
    }
  }
}
/** @param {Entry} entry */
const namesOf = (entry) =>
  Object.keys({ ...entry.dependencies, ...entry.optionalDependencies, ...entry.peerDependencies })
need("", [...namesOf(lock.packages[""]), ...bundled])

const components = Object.entries(packages).filter(([place]) => needed.has(place)).map(([place, entry]) => {
  const own = place.replace(/^.*node_modules\//, "")
  const [algorithm, digest] = entry.integrity?.split("-") ?? []
  return {
    type: "library",
    "bom-ref": `${purl(own, entry.version)}#${place}`,
    name: own,
    version: entry.version,
    scope: entry.optional === true ? "optional" : "required",
    ...algorithm === "sha512" && digest !== undefined
      ? { hashes: [{ alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") }] }
      : {},
    ...entry.license === undefined ? {} : { licenses: [{ expression: entry.license }] },
    purl: purl(own, entry.version)
  }
})

console.log(JSON.stringify(
  {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": purl(name, version),
        name,
        version,
        licenses: [{ expression: license }],
        purl: purl(name, version)
      }
    },
    components
  },
  null,
  2
))
