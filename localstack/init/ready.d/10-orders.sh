#!/usr/bin/env bash
# Makes what localstack/bridge.toml carries: the table `orders` with its stream, and the Kinesis stream `orders-cdc`.
# LocalStack runs it when it is ready; elsewhere AWS_ENDPOINT_URL says where to. Twice is as good as once.
set -euo pipefail

export AWS_DEFAULT_REGION=us-east-1
if command -v awslocal >/dev/null; then
    on() { awslocal "$@"; }
else
    : "${AWS_ENDPOINT_URL:?set it to the endpoint of the emulator, such as http://127.0.0.1:4566}"
    on() { aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
fi

if ! on dynamodb describe-table --table-name orders >/dev/null 2>&1; then
    on dynamodb create-table --table-name orders --billing-mode PAY_PER_REQUEST \
        --attribute-definitions AttributeName=customer,AttributeType=S AttributeName=order,AttributeType=S \
        --key-schema AttributeName=customer,KeyType=HASH AttributeName=order,KeyType=RANGE \
        --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES >/dev/null
fi
if ! on kinesis describe-stream-summary --stream-name orders-cdc >/dev/null 2>&1; then
    on kinesis create-stream --stream-name orders-cdc --shard-count 2
fi
on dynamodb wait table-exists --table-name orders
on kinesis wait stream-exists --stream-name orders-cdc
echo "table orders and Kinesis stream orders-cdc are there"
