# backy, bundled, with its native parts, on the Node.js of nixpkgs.
{
  lib,
  stdenvNoCC,
  callPackage,
  makeWrapper,
  nodejs_24,
  coreutils,
  util-linux,
  # What talks to Ceph: `backy.override { rbdTools = [ ceph-client qemu ]; }`; without it, what is on PATH is used.
  rbdTools ? [ ],
}:
let
  manifest = lib.importJSON ../package.json;
  npmDependencies = callPackage ./npmDependencies.nix { };
in
stdenvNoCC.mkDerivation {
  pname = "backy";
  inherit (manifest) version;

  src = lib.cleanSourceWith {
    src = ../.;
    # only what the build reads, so that a change of a test or a page builds nothing anew
    filter =
      path: _type:
      let
        relative = lib.removePrefix (toString ../. + "/") (toString path);
        top = builtins.head (lib.splitString "/" relative);
      in
      builtins.elem top [
        ".ci"
        "LICENSE"
        "docs"
        "package-lock.json"
        "package.json"
        "src"
      ];
  };

  nativeBuildInputs = [
    makeWrapper
    nodejs_24
  ];

  # Prebuilt native parts need only libraries that node has loaded already; nothing is to be patched or stripped.
  dontFixup = true;

  buildPhase = ''
    runHook preBuild
    ln -s ${npmDependencies}/node_modules node_modules
    node .ci/build.mjs
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    lib=$out/lib/backy
    mkdir -p $lib/node_modules $out/bin $out/share/doc/backy
    cp -R dist package.json LICENSE $lib/
    for part in $(node .ci/nativeParts.mjs); do
      mkdir -p $lib/node_modules/$(dirname $part)
      cp -R ${npmDependencies}/node_modules/$part $lib/node_modules/$part
    done
    makeWrapper $lib/dist/backy $out/bin/backy \
      --prefix PATH : ${lib.makeBinPath [ nodejs_24 ]} \
      --suffix PATH : ${
        lib.makeBinPath (
          [
            coreutils
            util-linux
          ]
          ++ rbdTools
        )
      }
    node .ci/manual.ts $out/share/man
    cp docs/*.md $out/share/doc/backy/
    runHook postInstall
  '';

  # Completions, as the built program prints them.
  postInstall = ''
    mkdir -p $out/share/bash-completion/completions $out/share/fish/vendor_completions.d $out/share/zsh/site-functions
    $out/bin/backy --completions bash > $out/share/bash-completion/completions/backy
    $out/bin/backy --completions fish > $out/share/fish/vendor_completions.d/backy.fish
    $out/bin/backy --completions zsh > $out/share/zsh/site-functions/_backy
  '';

  passthru = { inherit npmDependencies; };

  meta = {
    inherit (manifest) description;
    license = lib.licenses.gpl3Only;
    mainProgram = "backy";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
