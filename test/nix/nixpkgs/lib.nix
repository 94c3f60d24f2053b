# The functions of nixpkgs' lib that backy's flake uses.
rec {
  fetchers.proxyImpureEnvVars = [
    "http_proxy"
    "https_proxy"
    "no_proxy"
  ];
  licenses.gpl3Only = "GPL-3.0-only";

  importJSON = path: builtins.fromJSON (builtins.readFile path);
  removePrefix =
    prefix: text:
    let
      length = builtins.stringLength prefix;
    in
    if builtins.substring 0 length text == prefix then
      builtins.substring length (builtins.stringLength text) text
    else
      text;
  splitString = by: text: builtins.filter builtins.isString (builtins.split by text);
  cleanSourceWith = { src, filter }: builtins.path {
    name = "source";
    path = src;
    inherit filter;
  };
  makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
  callPackageWith =
    all: file: given:
    let
      function = import file;
      wanted = builtins.functionArgs function;
    in
    function (builtins.intersectAttrs wanted all // given);

  # As much of the module system as a single module needs: options with defaults, and definitions that are not merged.
  mkOption = declaration: declaration // { _option = true; };
  mkEnableOption = description: mkOption {
    inherit description;
    type = types.bool;
    default = false;
  };
  mkIf = condition: value: if condition then value else { };
  mkDefault = value: value;
  literalExpression = text: text;
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalAttrs = condition: value: if condition then value else { };
  getExe = package: "${package}/bin/${package.meta.mainProgram}";
  # Types say what they take, as those of nixpkgs do; what nixpkgs merges or coerces besides is not looked at here.
  types =
    let
      is = name: check: { inherit name check; };
      isPackage = value: builtins.isAttrs value && value.type or null == "derivation";
    in
    rec {
      bool = is "bool" builtins.isBool;
      str = is "str" builtins.isString;
      package = is "package" isPackage;
      path = is "path" (
        value:
        builtins.isPath value
        || isPackage value
        || (builtins.isString value && builtins.substring 0 1 value == "/")
      );
      port = is "port" (value: builtins.isInt value && value >= 0 && value <= 65535);
      listOf = type: is "list of ${type.name}" (
        value: builtins.isList value && builtins.all type.check value
      );
      nullOr = type: is "null or ${type.name}" (value: value == null || type.check value);
      # What YAML can say. A function cannot be written down.
      yamlValue = is "YAML value" (
        value:
        if builtins.isList value then
          builtins.all yamlValue.check value
        else if builtins.isAttrs value && !(isPackage value) then
          builtins.all yamlValue.check (builtins.attrValues value)
        else
          !(builtins.isFunction value)
      );
    };
}
