kafka-acls.sh "$@" --add --allow-principal User:regproc-finalization --operation Read --operation Describe --topic finalization-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-finalization --operation Write --operation Describe --operation DescribeConfigs --topic credential-requestor-bus-in --topic finalization-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-finalization --operation Read --operation Describe --group finalization-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-finalization --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-finalization-
kafka-acls.sh "$@" --add --allow-principal User:regproc-introducer-validator --operation Read --operation Describe --topic introducer-validator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-introducer-validator --operation Write --operation Describe --operation DescribeConfigs --topic introducer-validator-bus-in --topic uin-generator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-introducer-validator --operation Read --operation Describe --group introducer-validator-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-introducer-validator --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-introducer-validator-
kafka-acls.sh "$@" --add --allow-principal User:regproc-mosip-mediator --operation Read --operation Describe --topic OPENCRVS_BIRTH_RECORDS
kafka-acls.sh "$@" --add --allow-principal User:regproc-mosip-mediator --operation Write --operation Describe --operation DescribeConfigs --topic OPENCRVS_BIRTH_RECORDS
kafka-acls.sh "$@" --add --allow-principal User:regproc-mosip-mediator --operation Read --operation Describe --group mediatorReceiver
kafka-acls.sh "$@" --add --allow-principal User:regproc-opencrvs --operation Read --operation Describe --topic opencrvs-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-opencrvs --operation Write --operation Describe --operation DescribeConfigs --topic opencrvs-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-opencrvs --operation Read --operation Describe --group opencrvs-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-opencrvs --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-opencrvs-
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-classifier --operation Read --operation Describe --topic packet-classifier-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-classifier --operation Write --operation Describe --operation DescribeConfigs --topic introducer-validator-bus-in --topic packet-classifier-bus-in --topic uin-generator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-classifier --operation Read --operation Describe --group packet-classifier-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-classifier --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-packet-classifier-
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-receiver --operation Write --operation Describe --operation DescribeConfigs --topic securezone-notification-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-uploader --operation Read --operation Describe --topic packet-uploader-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-uploader --operation Write --operation Describe --operation DescribeConfigs --topic packet-uploader-bus-in --topic packet-validator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-uploader --operation Read --operation Describe --group packet-uploader-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-uploader --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-packet-uploader-
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-validator --operation Read --operation Describe --topic packet-validator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-validator --operation Write --operation Describe --operation DescribeConfigs --topic packet-classifier-bus-in --topic packet-validator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-validator --operation Read --operation Describe --group packet-validator-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-packet-validator --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-packet-validator-
kafka-acls.sh "$@" --add --allow-principal User:regproc-print --operation Read --operation Describe --topic credential-requestor-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-print --operation Write --operation Describe --operation DescribeConfigs --topic credential-requestor-bus-in --topic opencrvs-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-print --operation Read --operation Describe --group credential-requestor-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-print --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-print-
kafka-acls.sh "$@" --add --allow-principal User:regproc-securezone-notification --operation Read --operation Describe --topic securezone-notification-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-securezone-notification --operation Write --operation Describe --operation DescribeConfigs --topic packet-uploader-bus-in --topic securezone-notification-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-securezone-notification --operation Read --operation Describe --group securezone-notification-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-securezone-notification --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-securezone-notification-
kafka-acls.sh "$@" --add --allow-principal User:regproc-uin-generator --operation Read --operation Describe --topic uin-generator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-uin-generator --operation Write --operation Describe --operation DescribeConfigs --topic finalization-bus-in --topic uin-generator-bus-in
kafka-acls.sh "$@" --add --allow-principal User:regproc-uin-generator --operation Read --operation Describe --group uin-generator-stage
kafka-acls.sh "$@" --add --allow-principal User:regproc-uin-generator --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id regproc-uin-generator-
kafka-acls.sh "$@" --add --allow-principal User:regproc-topics --operation Create --operation Describe --operation DescribeConfigs --operation Alter --topic OPENCRVS_BIRTH_RECORDS --topic credential-requestor-bus-in --topic finalization-bus-in --topic introducer-validator-bus-in --topic opencrvs-bus-in --topic packet-classifier-bus-in --topic packet-uploader-bus-in --topic packet-validator-bus-in --topic securezone-notification-bus-in --topic uin-generator-bus-in
