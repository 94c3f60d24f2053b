// @ts-check
// Adds to package-lock.json what npm leaves out: packages with native code for other platforms, when the registry at hand
// (a mirror, a cache) does not have them. Without these entries `npm ci` refuses the lock file. Run it after `npm install`.
// The entries carry no integrity; an `npm install` with a complete registry fills that in.
import { readFileSync, writeFileSync } from "node:fs"

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "wasm32", "x64"]

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"))
for (const { dev, license, optionalDependencies } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
    const place = `node_modules/${name}`
    if (place in lock.packages) continue
    const words = name.replace(/^@[^/]+\//, "").split("-")
    const os = words.filter((word) => systems.includes(word))
    const cpu = words.filter((word) => processors.includes(word))
    const libc = words.some((word) => /^(gnu|glibc)/.test(word))
      ? ["glibc"]
      : words.some((word) => word.startsWith("musl"))
      ? ["musl"]
      : undefined
    if (cpu.length !== 1 || !/^\d+\.\d+\.\d+/.test(version)) {
      throw new Error(`which platform is ${name}@${version} for?`)
    }
    // An undefined property is not written.
    lock.packages[place] = { version, cpu, dev, libc, license, optional: true, os: os.length > 0 ? os : undefined }
    console.log(`added ${name}@${version}`)
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en")))
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`)
