# What npm installs, as a fixed-output derivation: the only step that may use the network, and its result must have the
# hash in npmHashes.json. The name carries a digest of the lock file, so that a result of an older lock file, which a
# store may still hold under the same hash, is never taken for this one's.
{
  lib,
  stdenvNoCC,
  nodejs_24,
  cacert,
}:
let
  system = stdenvNoCC.hostPlatform.system;
  # in npm's words
  cpu =
    {
      x86_64-linux = "x64";
      aarch64-linux = "arm64";
    }
    .${system};
  lockDigest = builtins.substring 0 12 (builtins.hashFile "sha256" ../package-lock.json);
in
stdenvNoCC.mkDerivation {
  name = "backy-npm-dependencies-${lockDigest}";

  dontUnpack = true;
  dontFixup = true;
  nativeBuildInputs = [
    nodejs_24
    cacert
  ];

  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR
    cp ${../package.json} package.json
    cp ${../package-lock.json} package-lock.json
    cp ${../.npmrc} .npmrc
    chmod u+w package.json package-lock.json
    node ${./buildOnly.mjs}
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --no-progress --os=linux --cpu=${cpu} --libc=glibc
    # npm leaves optional packages out in silence when the registry does not have them
    for native in @napi-rs/blake-hash-linux-${cpu}-gnu @koromix/koffi-linux-${cpu} @rolldown/binding-linux-${cpu}-gnu; do
      if [ ! -d "node_modules/$native" ]; then
        echo "$native was not installed: the registry does not have it" >&2
        exit 1
      fi
    done
    # its own notes, which differ between versions of npm
    rm node_modules/.package-lock.json
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    mkdir $out
    mv node_modules $out/
    runHook postInstall
  '';

  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [
    "NODE_EXTRA_CA_CERTS"
    "NPM_CONFIG_REGISTRY"
  ];

  outputHashAlgo = "sha256";
  outputHashMode = "recursive";
  outputHash = (lib.importJSON ./npmHashes.json).${system};
}
