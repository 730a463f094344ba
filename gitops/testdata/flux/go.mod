module made

go 1.26

require (
	github.com/Masterminds/semver/v3 v3.4.0
	github.com/fluxcd/pkg/envsubst v1.8.0
	github.com/fluxcd/pkg/sourceignore v0.19.0
	github.com/fluxcd/pkg/version v0.16.0
)
