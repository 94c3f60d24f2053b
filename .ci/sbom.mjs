// @ts-check
// Prints what the program is made of, as CycloneDX 1.5 JSON, from package-lock.json: `npm run --silent sbom`. Packages
// that are only needed to build and test it are left out. The same lock file gives the same bytes.
import { readFileSync } from "node:fs"

const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"))
const { license, name, version } = lock.packages[""]

/** @param {string} name @param {string} version */
const purl = (name, version) => `pkg:npm/${name.replace(/^@/, "%40")}@${version}`

/** @type {Array<[string, { version: string, license?: string, integrity?: string, dev?: boolean, optional?: boolean }]>} */
const packages = Object.entries(lock.packages)
const components = packages.filter(([place, { dev }]) => place !== "" && dev !== true).map(([place, entry]) => {
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
